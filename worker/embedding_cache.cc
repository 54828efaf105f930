#include "worker/embedding_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"

namespace promptd::worker {
namespace {

// What an entry takes beside its numbers: list node, hash node, vector, counts.
constexpr int64_t kEntryOverhead = 256;

}  // namespace

EmbeddingKey EmbeddingKeyOf(absl::string_view tenant, absl::string_view tower,
                            ImageKind kind, absl::string_view bytes) {
  Sha256 digest;
  // Lengths first: no two different parts give one text.
  digest.Update(absl::StrCat(tenant.size(), ":", tenant, tower.size(), ":",
                             tower, kind == ImageKind::kFile ? "f" : "p"));
  digest.Update(bytes);
  return {digest.Digest()};
}

EmbeddingCache::Found EmbeddingCache::Find(const EmbeddingKey& key,
                                           absl::FunctionRef<Joiner()> join) {
  Found found;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = index_.find(key); it != index_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      found = {CacheUse::kHit, it->second->feature};
    } else if (const auto flight = flights_.find(key);
               flight != flights_.end()) {
      flight->second.push_back(join());
      found.use = CacheUse::kJoin;
    } else {
      flights_[key];
    }
  }
  observer_->OnCacheUse(Cache::kEmbedding, found.use);
  return found;
}

void EmbeddingCache::Land(const EmbeddingKey& key, const Landing& landing) {
  std::deque<Joiner> told;
  {
    absl::MutexLock lock(&mutex_);
    const auto flight = flights_.find(key);
    std::deque<Joiner>& joined = flight->second;
    if (landing.kind == Landing::Kind::kLead && !joined.empty()) {
      told.push_back(std::move(joined.front()));
      joined.pop_front();
    } else {
      told = std::move(joined);
      flights_.erase(flight);
    }
    if (landing.kind == Landing::Kind::kFeature) {
      InsertLocked(key, landing.feature);
    }
  }
  for (const Joiner& joiner : told) joiner(landing);
}

int64_t EmbeddingCache::SizeOf(const SharedFeature& feature) {
  return static_cast<int64_t>(feature->size() * sizeof(float)) + kEntryOverhead;
}

void EmbeddingCache::InsertLocked(const EmbeddingKey& key,
                                  const SharedFeature& feature) {
  if (SizeOf(feature) > max_bytes_) return;
  bytes_ += SizeOf(feature);
  entries_.push_front({key, feature});
  index_[key] = entries_.begin();
  int64_t evicted = 0;
  for (; bytes_ > max_bytes_; ++evicted) {
    bytes_ -= SizeOf(entries_.back().feature);
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  // Under the lock, so that the last size told is the size.
  observer_->OnCacheSize(Cache::kEmbedding, bytes_,
                         static_cast<int64_t>(entries_.size()), evicted);
}

}  // namespace promptd::worker

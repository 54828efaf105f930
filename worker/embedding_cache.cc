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
                            ImageKind kind, absl::string_view digest) {
  Sha256 key;
  // Lengths first: no two different parts give one text.
  key.Update(absl::StrCat(tenant.size(), ":", tenant, tower.size(), ":", tower,
                          kind == ImageKind::kFile ? "f" : "p", digest));
  return {key.Digest()};
}

EmbeddingCache::Found EmbeddingCache::Find(const EmbeddingKey& key,
                                           absl::FunctionRef<Joiner()> join) {
  return Look(key, /*may_lead=*/true, join);
}

EmbeddingCache::Found EmbeddingCache::FindKnown(
    const EmbeddingKey& key, absl::FunctionRef<Joiner()> join) {
  return Look(key, /*may_lead=*/false, join);
}

EmbeddingCache::Found EmbeddingCache::Look(const EmbeddingKey& key,
                                           bool may_lead,
                                           absl::FunctionRef<Joiner()> join) {
  Found found;
  {
    absl::MutexLock lock(&mutex_);
    if (const SharedFeature* const feature = features_.Find(key)) {
      found = {CacheUse::kHit, *feature};
    } else if (const auto flight = flights_.find(key);
               flight != flights_.end()) {
      flight->second.push_back(join());
      found.use = CacheUse::kJoin;
    } else if (may_lead) {
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

void EmbeddingCache::InsertLocked(const EmbeddingKey& key,
                                  const SharedFeature& feature) {
  const auto bytes = static_cast<int64_t>(feature->size() * sizeof(float));
  const int64_t evicted =
      features_.Insert(key, feature, bytes + kEntryOverhead);
  // Under the lock, so that the last size told is the size.
  observer_->OnCacheSize(Cache::kEmbedding, features_.bytes(), features_.size(),
                         evicted);
}

}  // namespace promptd::worker

#include "worker/head_cache.h"

#include <utility>

namespace promptd::worker {
namespace {

// What an entry takes beside its head: its key twice, nodes, counts.
constexpr int64_t kEntryOverhead = 512;

int64_t SizeOf(const SharedHead& head) {
  return head->bytes() + kEntryOverhead;
}

}  // namespace

SharedHead HeadCache::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  return FindLocked(key);
}

absl::StatusOr<SharedHead> HeadCache::FindOrLoad(
    const std::string& key,
    const std::function<absl::StatusOr<ClassHead>()>& load) {
  std::shared_ptr<Loading> loading;
  {
    absl::MutexLock lock(&mutex_);
    if (SharedHead found = FindLocked(key)) return found;
    std::shared_ptr<Loading>& slot = loading_[key];
    if (slot != nullptr) {
      const std::shared_ptr<Loading> other = slot;
      observer_->OnCacheUse(Cache::kTextFeatures, CacheUse::kJoin);
      mutex_.Await(absl::Condition(&other->done));
      return other->result;
    }
    slot = std::make_shared<Loading>();
    loading = slot;
  }
  observer_->OnCacheUse(Cache::kTextFeatures, CacheUse::kMiss);
  absl::StatusOr<ClassHead> loaded = load();
  absl::MutexLock lock(&mutex_);
  if (loaded.ok()) {
    loading->result = SharedHead(std::make_shared<const ResidentHead>(*loaded));
    InsertLocked(key, *loading->result);
  } else {
    loading->result = loaded.status();
  }
  loading->done = true;
  loading_.erase(key);
  return loading->result;
}

int64_t HeadCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

SharedHead HeadCache::FindLocked(const std::string& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  observer_->OnCacheUse(Cache::kTextFeatures, CacheUse::kHit);
  return found->second->head;
}

void HeadCache::InsertLocked(const std::string& key, SharedHead head) {
  if (index_.contains(key)) return;  // content-addressed: the same value
  bytes_ += SizeOf(head);
  entries_.push_front({key, std::move(head)});
  index_[key] = entries_.begin();
  int64_t evicted = 0;
  for (; bytes_ > max_bytes_ && entries_.size() > 1; ++evicted) {
    bytes_ -= SizeOf(entries_.back().head);
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  // Under the lock, so that the last size told is the size.
  observer_->OnCacheSize(Cache::kTextFeatures, bytes_,
                         static_cast<int64_t>(entries_.size()), evicted);
}

}  // namespace promptd::worker

#include "worker/head_cache.h"

#include <utility>

namespace promptd::worker {
namespace {

// What an entry takes beside its head: its key twice, nodes, counts.
constexpr int64_t kEntryOverhead = 512;

}  // namespace

SharedHead HeadCache::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  return FindLocked(key);
}

absl::StatusOr<SharedHead> HeadCache::FindOrLoad(
    const std::string& key,
    absl::FunctionRef<absl::StatusOr<ClassHead>()> load) {
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

bool HeadCache::Holds(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  return heads_.Holds(key);
}

int64_t HeadCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return heads_.bytes();
}

SharedHead HeadCache::FindLocked(const std::string& key) {
  const SharedHead* const head = heads_.Find(key);
  if (head == nullptr) return nullptr;
  observer_->OnCacheUse(Cache::kTextFeatures, CacheUse::kHit);
  return *head;
}

void HeadCache::InsertLocked(const std::string& key, SharedHead head) {
  const int64_t bytes = head->bytes() + kEntryOverhead;
  const int64_t evicted = heads_.Insert(key, std::move(head), bytes);
  // Under the lock, so that the last size told is the size.
  observer_->OnCacheSize(Cache::kTextFeatures, heads_.bytes(), heads_.size(),
                         evicted);
}

}  // namespace promptd::worker

#include "worker/head_cache.h"

#include <utility>

namespace promptd::worker {
namespace {

int64_t SizeOf(const SharedHead& head) {
  return static_cast<int64_t>(
      (head->weights.values.size() + head->bias.values.size()) * sizeof(float));
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
      mutex_.Await(absl::Condition(&other->done));
      return other->result;
    }
    slot = std::make_shared<Loading>();
    loading = slot;
  }
  absl::StatusOr<ClassHead> loaded = load();
  absl::MutexLock lock(&mutex_);
  if (loaded.ok()) {
    loading->result =
        SharedHead(std::make_shared<const ClassHead>(*std::move(loaded)));
    InsertLocked(key, *loading->result);
  } else {
    loading->result = loaded.status();
  }
  loading->done = true;
  loading_.erase(key);
  return loading->result;
}

void HeadCache::Insert(const std::string& key, SharedHead head) {
  absl::MutexLock lock(&mutex_);
  InsertLocked(key, std::move(head));
}

int64_t HeadCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

SharedHead HeadCache::FindLocked(const std::string& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->head;
}

void HeadCache::InsertLocked(const std::string& key, SharedHead head) {
  if (index_.contains(key)) return;  // content-addressed: the same value
  bytes_ += SizeOf(head);
  entries_.push_front({key, std::move(head)});
  index_[key] = entries_.begin();
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= SizeOf(entries_.back().head);
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace promptd::worker

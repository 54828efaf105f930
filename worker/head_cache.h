// The heads of recent classifications, bounded in bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/class_head.h"
#include "common/lru.h"
#include "worker/observer.h"
#include "worker/resident_head.h"

namespace promptd::worker {

// Immutable.
using SharedHead = std::shared_ptr<const ResidentHead>;

// Least recently used goes first. Entries in use live on through their
// shared_ptr. Thread-safe.
class HeadCache {
 public:
  // `observer` must outlive this.
  HeadCache(int64_t max_bytes, Observer* observer)
      : observer_(observer), heads_(max_bytes) {}

  // The entry, or nullptr; then a FindOrLoad is what counts as a miss.
  SharedHead Find(const std::string& key);

  // The entry; on a miss `load` runs once, outside the lock, while other
  // callers for the same key wait for its result. Errors are not kept.
  absl::StatusOr<SharedHead> FindOrLoad(
      const std::string& key,
      absl::FunctionRef<absl::StatusOr<ClassHead>()> load);

  // Without counting it as a use.
  bool Holds(const std::string& key) const;

  int64_t bytes() const;

 private:
  struct Loading {
    bool done = false;
    absl::StatusOr<SharedHead> result = SharedHead();
  };

  SharedHead FindLocked(const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InsertLocked(const std::string& key, SharedHead head)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Observer* const observer_;
  mutable absl::Mutex mutex_;
  Lru<std::string, SharedHead> heads_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::shared_ptr<Loading>> loading_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker

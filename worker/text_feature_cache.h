// The text side of recent classifications, bounded in bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/float_tensor.h"

namespace promptd::worker {

// [C, E], rows of unit length; immutable and shared.
using TextFeatures = std::shared_ptr<const FloatTensor>;

// Least recently used goes first. Entries in use live on through their
// shared_ptr. Thread-safe.
class TextFeatureCache {
 public:
  explicit TextFeatureCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // The entry, or nullptr.
  TextFeatures Find(const std::string& key);

  // The entry; on a miss `load` runs once, outside the lock, while other
  // callers for the same key wait for its result. Errors are not kept.
  absl::StatusOr<TextFeatures> FindOrLoad(
      const std::string& key,
      const std::function<absl::StatusOr<FloatTensor>()>& load);

  void Insert(const std::string& key, TextFeatures features);

  int64_t bytes() const;

 private:
  struct Entry {
    std::string key;
    TextFeatures features;
  };
  struct Loading {
    bool done = false;
    absl::StatusOr<TextFeatures> result = TextFeatures();
  };

  TextFeatures FindLocked(const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InsertLocked(const std::string& key, TextFeatures features)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_
      ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::shared_ptr<Loading>> loading_
      ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace promptd::worker

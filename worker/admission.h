// How much work a worker holds at once: images and their bytes.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::worker {

// What is let in leaves, image by image. Thread-safe.
class Admission {
 public:
  Admission(int max_images, int64_t max_bytes)
      : max_images_(max_images), max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED (QUEUE_FULL), in bytes only while other images are in;
  // UNAVAILABLE (SHUTTING_DOWN).
  absl::Status Enter(int images, int64_t bytes);
  void LeaveOne(int64_t bytes);

  // From now on nobody enters. Waits until all have left; who is in at
  // `deadline` is abandoned. Idempotent.
  void Close(absl::Time deadline);

  // Whether who is in shall give up.
  bool abandoned() const { return abandoned_; }

 private:
  bool Empty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return images_ == 0;
  }

  const int max_images_;
  const int64_t max_bytes_;
  std::atomic<bool> abandoned_ = false;
  absl::Mutex mutex_;
  int images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace promptd::worker

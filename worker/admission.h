// How much work a worker holds at once, in all and of one tenant: images and
// their bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::worker {

// What is let in leaves, image by image. Thread-safe.
class Admission {
 public:
  Admission(int max_images, int64_t max_bytes, int max_images_of_tenant)
      : max_images_(max_images),
        max_bytes_(max_bytes),
        max_images_of_tenant_(max_images_of_tenant) {}

  // RESOURCE_EXHAUSTED (TENANT_QUOTA); UNAVAILABLE (QUEUE_FULL), in bytes only
  // while other images are in; UNAVAILABLE (SHUTTING_DOWN).
  absl::Status Enter(const std::string& tenant, int images, int64_t bytes);
  void LeaveOne(const std::string& tenant, int64_t bytes);

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
  const int max_images_of_tenant_;
  std::atomic<bool> abandoned_ = false;
  absl::Mutex mutex_;
  int images_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> images_of_ ABSL_GUARDED_BY(mutex_);  // above 0
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace promptd::worker

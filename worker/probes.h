// When to take what would be refused, to measure again what refusals rest on.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace promptd::worker {

// One probe for each kInterval without a measurement. Thread-safe.
class Probes {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  void Measured(absl::Time now) {
    absl::MutexLock lock(&mutex_);
    next_ = now + kInterval;
  }

  // True once, then not again before the next interval has passed.
  bool Due(absl::Time now) {
    absl::MutexLock lock(&mutex_);
    if (now < next_) return false;
    next_ = now + kInterval;
    return true;
  }

 private:
  absl::Mutex mutex_;
  absl::Time next_ ABSL_GUARDED_BY(mutex_) = absl::Now() + kInterval;
};

}  // namespace promptd::worker

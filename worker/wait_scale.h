// How much longer images wait than was predicted.
#pragma once

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::worker {

// Follows a high quantile of actual over predicted waits, so that of the calls
// that are let in by a prediction times this about 1 - kShare wait longer
// (Robbins and Monro's stochastic approximation). Between 1 and kMost.
// Thread-safe.
class WaitScale {
 public:
  static constexpr double kShare = 0.998;
  static constexpr double kMost = 4;

  double Get() const {
    absl::MutexLock lock(&mutex_);
    return scale_;
  }

  // Shorter predictions than kShortest say nothing.
  void Observed(absl::Duration predicted, absl::Duration actual) {
    if (predicted < kShortest) return;
    const double ratio = absl::FDivDuration(actual, predicted);
    absl::MutexLock lock(&mutex_);
    scale_ += ratio > scale_ ? kStep * kShare : kStep * (kShare - 1);
    scale_ = std::clamp(scale_, 1.0, kMost);
  }

 private:
  static constexpr double kStep = 0.02;
  static constexpr absl::Duration kShortest = absl::Milliseconds(10);

  mutable absl::Mutex mutex_;
  double scale_ ABSL_GUARDED_BY(mutex_) = 1.5;
};

}  // namespace promptd::worker

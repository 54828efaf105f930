// How long a device takes for a batch of so many images, as measured.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::worker {

// By tower and size; sizes between measured ones are interpolated, larger ones
// continue in proportion, smaller ones take what the next measured takes. A
// measurement moves its value by a quarter, so that one slow batch on a busy
// machine is forgotten soon. The least recently measured of many towers is
// forgotten. Thread-safe.
class BatchTimes {
 public:
  void Measured(const std::string& tower, int images, absl::Duration elapsed);

  // Zero before there is a measurement of the tower.
  absl::Duration Of(const std::string& tower, int images) const;
  // Of so many images in batches of at most `batch`.
  absl::Duration OfAll(const std::string& tower, int64_t images,
                       int batch) const;

  // The largest batch, of at most `most` images, that takes no longer than
  // `limit`; at least 1, and `most` before there is a measurement.
  int Largest(const std::string& tower, absl::Duration limit, int most) const;

 private:
  struct Tower {
    std::map<int, absl::Duration> times;
    int64_t measured = 0;  // the number of its last measurement
  };

  absl::Duration OfLocked(const std::string& tower, int images) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, Tower> towers_ ABSL_GUARDED_BY(mutex_);
  int64_t measurements_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace promptd::worker

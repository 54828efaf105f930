// Durations in buckets that grow with them: percentiles of any number of
// latencies in 30 KB.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace promptd::load {

// A bucket is at most 1/64 of what it holds. Thread-compatible.
class Histogram {
 public:
  Histogram();

  // Negative values count as zero.
  void Add(absl::Duration value);

  int64_t count() const { return count_; }
  absl::Duration max() const { return max_; }
  // What a share of the values (0 to 1) does not exceed: the end of its
  // bucket, never above max(). Zero when there are none.
  absl::Duration Percentile(double share) const;

 private:
  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
  absl::Duration max_ = absl::ZeroDuration();
};

}  // namespace promptd::load

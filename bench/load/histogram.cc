#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace promptd::load {
namespace {

// Values below 2^(kBits + 1) nanoseconds have a bucket each; above, each
// doubling has 2^kBits buckets.
constexpr int kBits = 6;
constexpr uint64_t kSteps = uint64_t{1} << kBits;
constexpr int kLargestShift = 63 - (kBits + 1);
constexpr size_t kBuckets = (kLargestShift + 2) * kSteps;

size_t BucketOf(uint64_t nanoseconds) {
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(nanoseconds)) - kBits - 1);
  return shift * kSteps + (nanoseconds >> shift);
}

uint64_t EndOfBucket(size_t bucket) {
  if (bucket < 2 * kSteps) return bucket;
  const size_t shift = bucket / kSteps - 1;
  return ((kSteps + bucket % kSteps + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : buckets_(kBuckets) {}

void Histogram::Add(absl::Duration value) {
  value = std::max(value, absl::ZeroDuration());
  ++buckets_[BucketOf(static_cast<uint64_t>(absl::ToInt64Nanoseconds(value)))];
  ++count_;
  max_ = std::max(max_, value);
}

absl::Duration Histogram::Percentile(double share) const {
  const auto wanted =
      static_cast<int64_t>(std::ceil(share * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > 0 && seen >= wanted) {
      return std::min(max_,
                      absl::Nanoseconds(static_cast<int64_t>(EndOfBucket(i))));
    }
  }
  return max_;
}

}  // namespace promptd::load

#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace promptd::load {
namespace {

TEST(HistogramTest, EmptyIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Percentile(0.5), absl::ZeroDuration());
  EXPECT_EQ(histogram.max(), absl::ZeroDuration());
}

TEST(HistogramTest, PercentilesAreThoseOfTheSortedValuesWithinABucket) {
  std::mt19937_64 random(5);
  std::lognormal_distribution<double> seconds(-3, 2);
  Histogram histogram;
  std::vector<absl::Duration> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(absl::Seconds(seconds(random)));
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.count(), 20'000);
  EXPECT_EQ(histogram.max(), values.back());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const absl::Duration exact =
        values[static_cast<size_t>(share * 20'000) - 1];
    EXPECT_GE(histogram.Percentile(share), exact - absl::Nanoseconds(1));
    EXPECT_LE(histogram.Percentile(share), exact * (1 + 1.0 / 64));
  }
  EXPECT_EQ(histogram.Percentile(1), values.back());
}

TEST(HistogramTest, APercentileIsNeverAboveTheLargestValue) {
  Histogram histogram;
  histogram.Add(absl::Microseconds(1000));
  EXPECT_EQ(histogram.Percentile(0.99), absl::Microseconds(1000));
}

TEST(HistogramTest, TakesTheExtremes) {
  Histogram histogram;
  histogram.Add(absl::Seconds(-1));
  EXPECT_EQ(histogram.max(), absl::ZeroDuration());
  histogram.Add(absl::InfiniteDuration());
  EXPECT_EQ(histogram.count(), 2);
  EXPECT_EQ(histogram.Percentile(0.5), absl::ZeroDuration());
}

}  // namespace
}  // namespace promptd::load

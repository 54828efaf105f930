#include "worker/batch_times.h"

#include <string>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

TEST(BatchTimesTest, NothingIsKnownAtFirst) {
  const BatchTimes times;
  EXPECT_EQ(times.Of("t", 4), absl::ZeroDuration());
  EXPECT_EQ(times.OfAll("t", 100, 32), absl::ZeroDuration());
  EXPECT_EQ(times.Largest("t", kMs, 32), 32);
}

TEST(BatchTimesTest, SizesBetweenAreInterpolatedAndOthersContinue) {
  BatchTimes times;
  times.Measured("t", 2, 10 * kMs);
  times.Measured("t", 8, 40 * kMs);
  EXPECT_EQ(times.Of("t", 1), 10 * kMs);
  EXPECT_EQ(times.Of("t", 2), 10 * kMs);
  EXPECT_EQ(times.Of("t", 5), 25 * kMs);
  EXPECT_EQ(times.Of("t", 16), 80 * kMs);
  EXPECT_EQ(times.Of("other", 2), absl::ZeroDuration());
  // 20 in batches of 8: two whole ones and one of four.
  EXPECT_EQ(times.OfAll("t", 20, 8), 2 * 40 * kMs + 20 * kMs);
  EXPECT_EQ(times.OfAll("t", 16, 8), 80 * kMs);
}

TEST(BatchTimesTest, OneSlowBatchIsForgottenSoon) {
  BatchTimes times;
  times.Measured("t", 4, 10 * kMs);
  times.Measured("t", 4, 50 * kMs);
  EXPECT_EQ(times.Of("t", 4), 20 * kMs);
  for (int i = 0; i < 20; ++i) times.Measured("t", 4, 10 * kMs);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(times.Of("t", 4)), 10, 0.1);
}

TEST(BatchTimesTest, TheLargestBatchStaysWithinTheLimit) {
  BatchTimes times;
  times.Measured("t", 1, 10 * kMs);
  times.Measured("t", 16, 85 * kMs);
  EXPECT_EQ(times.Largest("t", 50 * kMs, 32), 9);
  EXPECT_EQ(times.Largest("t", 500 * kMs, 32), 32);
  EXPECT_EQ(times.Largest("t", kMs, 32), 1);
}

TEST(BatchTimesTest, OfManyTowersTheOldestIsForgotten) {
  BatchTimes times;
  times.Measured("kept", 1, kMs);
  times.Measured("old", 1, kMs);
  for (int i = 0; i < 63; ++i) {
    times.Measured("kept", 1, kMs);
    times.Measured("tower " + std::to_string(i), 1, kMs);
  }
  EXPECT_EQ(times.Of("kept", 1), kMs);
  EXPECT_EQ(times.Of("tower 62", 1), kMs);
  EXPECT_EQ(times.Of("old", 1), absl::ZeroDuration());
}

}  // namespace
}  // namespace promptd::worker

#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

namespace promptd::load {
namespace {

TEST(ArrivalsTest, FixedOnesAreEvenFromTheStart) {
  Arrivals arrivals(ArrivalPattern::kFixed, 4, 1);
  EXPECT_EQ(arrivals.Next(), absl::ZeroDuration());
  EXPECT_EQ(arrivals.Next(), absl::Milliseconds(250));
  EXPECT_EQ(arrivals.Next(), absl::Milliseconds(500));
}

TEST(ArrivalsTest, FixedOnesDoNotDrift) {
  Arrivals arrivals(ArrivalPattern::kFixed, 3, 1);
  absl::Duration last;
  for (int i = 0; i <= 3'000'000; ++i) last = arrivals.Next();
  EXPECT_EQ(last, absl::Seconds(1'000'000));
}

TEST(ArrivalsTest, PoissonHasTheRateAndItsSpread) {
  constexpr int kCount = 100'000;
  Arrivals arrivals(ArrivalPattern::kPoisson, 50, 7);
  double previous = 0;
  double square = 0;
  for (int i = 0; i < kCount; ++i) {
    const double now = absl::ToDoubleSeconds(arrivals.Next());
    ASSERT_GE(now, previous);
    square += (now - previous) * (now - previous);
    previous = now;
  }
  EXPECT_NEAR(previous / kCount, 1 / 50.0, 0.0004);
  // An exponential gap's second moment is twice the square of its mean.
  EXPECT_NEAR(square / kCount, 2 / 2500.0, 0.00004);
}

TEST(ArrivalsTest, ASeedGivesTheSameTimes) {
  Arrivals one(ArrivalPattern::kPoisson, 10, 3);
  Arrivals same(ArrivalPattern::kPoisson, 10, 3);
  Arrivals other(ArrivalPattern::kPoisson, 10, 4);
  const absl::Duration first = one.Next();
  EXPECT_EQ(first, same.Next());
  EXPECT_NE(first, other.Next());
}

}  // namespace
}  // namespace promptd::load

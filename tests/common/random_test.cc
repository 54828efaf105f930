#include "common/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace promptd {
namespace {

TEST(RandomTest, IsXoshiro256StarStarAfterSplitmix64) {
  // The generator's published outputs for the state 1, 2, 3, 4.
  std::string state;
  for (const char digit : {'1', '2', '3', '4'}) {
    state += std::string(15, '0') + digit;
  }
  auto counted = Random::FromState(state);
  ASSERT_TRUE(counted.has_value());
  EXPECT_EQ(counted->Next(), 11520u);
  EXPECT_EQ(counted->Next(), 0u);
  EXPECT_EQ(counted->Next(), 1509978240u);
  // Seeded: computed with the authors' C programs.
  Random random(7);
  EXPECT_EQ(random.Next(), 0xb358faf74ef9765au);
  EXPECT_EQ(random.Next(), 0x475c3d964f482cd2u);
}

TEST(RandomTest, StateGoesOnWhereItWasTaken) {
  Random random(3);
  for (int i = 0; i < 5; ++i) random.Next();
  auto copy = Random::FromState(random.State());
  ASSERT_TRUE(copy.has_value());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(copy->Next(), random.Next());
}

TEST(RandomTest, RefusesStatesThatAreNone) {
  for (const std::string& bad : {std::string(), std::string(63, 'a'),
                                 std::string(64, 'g'), std::string(64, '0')}) {
    EXPECT_FALSE(Random::FromState(bad).has_value());
  }
}

TEST(RandomTest, PermutationsAreUniform) {
  Random random(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 6000; ++i) {
    const std::vector<int64_t> order = random.Permutation(3);
    ASSERT_TRUE(std::is_permutation(order.begin(), order.end(),
                                    std::vector<int64_t>{0, 1, 2}.begin()));
    ++counts[order[0] * 2 + (order[1] > order[2] ? 1 : 0)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(RandomTest, NormalHasMeanZeroAndVarianceOne) {
  Random random(2);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.Normal();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
}

}  // namespace
}  // namespace promptd

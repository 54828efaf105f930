#include "clip/pass_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace promptd::clip {
namespace {

using ::testing::ElementsAre;

TEST(PassSizeTest, IsTheLargestOfAFewSizes) {
  std::set<int64_t> sizes;
  for (int64_t images = 1; images <= 64; ++images) {
    const int64_t size = PassSize(images);
    EXPECT_LE(size, images);
    EXPECT_GT(10 * size, 8 * images) << "much would wait for the next pass";
    EXPECT_EQ(PassSize(size), size);
    sizes.insert(size);
  }
  EXPECT_THAT(sizes, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24,
                                 28, 32, 40, 48, 56, 64));
}

}  // namespace
}  // namespace promptd::clip

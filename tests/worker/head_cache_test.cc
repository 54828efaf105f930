#include "worker/head_cache.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

ClassHead Features(int64_t floats) {
  return {{{1, floats}, std::vector<float>(floats, 1.0f)}};
}

TEST(HeadCacheTest, LoadsOnceAndKeeps) {
  HeadCache cache(1000);
  int loads = 0;
  for (int i = 0; i < 3; ++i) {
    const auto found = cache.FindOrLoad(
        "a",
        [&]() -> absl::StatusOr<ClassHead> { return ++loads, Features(4); });
    ASSERT_TRUE(found.ok());
    EXPECT_EQ((*found)->weights.values.size(), 4u);
  }
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(cache.bytes(), 16);
}

TEST(HeadCacheTest, ErrorsAreReturnedAndNotKept) {
  HeadCache cache(1000);
  EXPECT_EQ(cache.FindOrLoad("a", [] { return absl::DataLossError("corrupt"); })
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_TRUE(cache.FindOrLoad("a", [] { return Features(1); }).ok());
}

TEST(HeadCacheTest, EvictsTheLeastRecentlyUsedByBytes) {
  HeadCache cache(2 * 4 * sizeof(float));
  cache.Insert("a", std::make_shared<ClassHead>(Features(4)));
  cache.Insert("b", std::make_shared<ClassHead>(Features(4)));
  const SharedHead held = cache.Find("a");  // "b" is now the oldest
  cache.Insert("c", std::make_shared<ClassHead>(Features(4)));
  EXPECT_NE(cache.Find("a"), nullptr);
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_NE(cache.Find("c"), nullptr);
  EXPECT_EQ(cache.bytes(), 32);
  EXPECT_EQ(held->weights.values.size(), 4u);
}

TEST(HeadCacheTest, ConcurrentMissesShareOneLoad) {
  HeadCache cache(1000);
  std::atomic<int> loads{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto found =
          cache.FindOrLoad("a", [&]() -> absl::StatusOr<ClassHead> {
            ++loads;
            return Features(2);
          });
      EXPECT_TRUE(found.ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
}

}  // namespace
}  // namespace promptd::worker

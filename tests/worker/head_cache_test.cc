#include "worker/head_cache.h"

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

ClassHead Features(int64_t floats) {
  return {{{1, floats}, std::vector<float>(floats, 1.0f)}};
}

// Counts looks, and keeps the last size told.
class HeadCounts : public Observer {
 public:
  void OnCacheUse(Cache cache, CacheUse use) override {
    EXPECT_EQ(cache, Cache::kTextFeatures);
    absl::MutexLock lock(&mutex_);
    ++uses_[use];
  }
  void OnCacheSize(Cache, int64_t bytes, int64_t entries,
                   int64_t evicted) override {
    absl::MutexLock lock(&mutex_);
    bytes_ = bytes;
    entries_ = entries;
    evicted_ += evicted;
  }
  int uses(CacheUse use) {
    absl::MutexLock lock(&mutex_);
    return uses_[use];
  }
  // Bytes, entries, evicted so far.
  std::vector<int64_t> size() {
    absl::MutexLock lock(&mutex_);
    return {bytes_, entries_, evicted_};
  }

 private:
  absl::Mutex mutex_;
  std::map<CacheUse, int> uses_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t entries_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t evicted_ ABSL_GUARDED_BY(mutex_) = 0;
};

class HeadCacheTest : public ::testing::Test {
 protected:
  static void Load(HeadCache* cache, const std::string& key) {
    EXPECT_TRUE(cache->FindOrLoad(key, [] { return Features(4); }).ok());
  }
  const int64_t kEntry = ResidentHead(Features(4)).bytes() + 512;
  HeadCounts observer_;
};

TEST_F(HeadCacheTest, LoadsOnceAndKeeps) {
  HeadCache cache(10 * kEntry, &observer_);
  int loads = 0;
  for (int i = 0; i < 3; ++i) {
    const auto found = cache.FindOrLoad(
        "a",
        [&]() -> absl::StatusOr<ClassHead> { return ++loads, Features(4); });
    ASSERT_TRUE(found.ok());
    EXPECT_EQ((*found)->width(), 4u);
  }
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(cache.bytes(), kEntry);
  EXPECT_EQ(observer_.uses(CacheUse::kMiss), 1);
  EXPECT_EQ(observer_.uses(CacheUse::kHit), 2);
}

TEST_F(HeadCacheTest, ErrorsAreReturnedAndNotKept) {
  HeadCache cache(10 * kEntry, &observer_);
  EXPECT_EQ(cache.FindOrLoad("a", [] { return absl::DataLossError("corrupt"); })
                .status()
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_TRUE(cache.FindOrLoad("a", [] { return Features(1); }).ok());
}

TEST_F(HeadCacheTest, EvictsTheLeastRecentlyUsedByBytes) {
  HeadCache cache(2 * kEntry, &observer_);
  Load(&cache, "a");
  Load(&cache, "b");
  const SharedHead held = cache.Find("a");  // "b" is now the oldest
  Load(&cache, "c");
  EXPECT_NE(cache.Find("a"), nullptr);
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_NE(cache.Find("c"), nullptr);
  EXPECT_EQ(cache.bytes(), 2 * kEntry);
  EXPECT_EQ(observer_.size(), (std::vector<int64_t>{2 * kEntry, 2, 1}));
  EXPECT_EQ(held->width(), 4u);
}

TEST_F(HeadCacheTest, ConcurrentMissesShareOneLoad) {
  HeadCache cache(10 * kEntry, &observer_);
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
  EXPECT_EQ(observer_.uses(CacheUse::kMiss), 1);
  EXPECT_EQ(observer_.uses(CacheUse::kHit) + observer_.uses(CacheUse::kJoin),
            7);
}

// What a thousand tasks cost.
TEST_F(HeadCacheTest, AHeadTakesTwoBytesAWeight) {
  for (const bool cosine : {true, false}) {
    HeadCache cache(int64_t{1} << 30, &observer_);
    ClassHead head = {{{100, 512}, std::vector<float>(100 * 512, 0.1f)},
                      {{100}, std::vector<float>(100, 1.0f)},
                      cosine};
    ASSERT_TRUE(cache.FindOrLoad("a", [&] { return head; }).ok());
    EXPECT_LE(cache.bytes(), 100 * 512 * 2 + 4096);
  }
}

// A slow load of one head does not hold up another.
TEST_F(HeadCacheTest, NoLockIsHeldOverALoad) {
  HeadCache cache(10 * kEntry, &observer_);
  const auto outer = cache.FindOrLoad("a", [&]() -> absl::StatusOr<ClassHead> {
    Load(&cache, "b");
    return Features(4);
  });
  EXPECT_TRUE(outer.ok());
  EXPECT_NE(cache.Find("b"), nullptr);
}

}  // namespace
}  // namespace promptd::worker

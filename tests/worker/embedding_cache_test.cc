#include "worker/embedding_cache.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

class EmbeddingCounts : public Observer {
 public:
  void OnCacheUse(Cache cache, CacheUse use) override {
    EXPECT_EQ(cache, Cache::kEmbedding);
    ++uses[use];
  }
  void OnCacheSize(Cache, int64_t b, int64_t e, int64_t evicted_now) override {
    bytes = b;
    entries = e;
    evicted += evicted_now;
  }
  std::map<CacheUse, int> uses;
  int64_t bytes = 0;
  int64_t entries = 0;
  int64_t evicted = 0;
};

class EmbeddingCacheTest : public ::testing::Test {
 protected:
  static constexpr int64_t kEntry = 4 * sizeof(float) + 256;

  static EmbeddingKey Key(const std::string& image) {
    return EmbeddingKeyOf("tenant", "tower", ImageKind::kFile, image);
  }
  static Landing Feature(float value) {
    return {.kind = Landing::Kind::kFeature,
            .feature = std::make_shared<const std::vector<float>>(4, value),
            .batch_size = 3};
  }
  // Looks, and records under `name` how a flight that it joined ends.
  CacheUse Look(EmbeddingCache* cache, const std::string& image,
                const std::string& name = "") {
    const EmbeddingCache::Found found = cache->Find(Key(image), [&] {
      return [this, name](const Landing& landing) {
        order_.push_back(name);
        landings_[name] = landing;
      };
    });
    EXPECT_EQ(found.use == CacheUse::kHit, found.feature != nullptr);
    return found.use;
  }

  EmbeddingCounts observer_;
  std::map<std::string, Landing> landings_;
  std::vector<std::string> order_;
};

TEST_F(EmbeddingCacheTest, KeysDifferInEveryPart) {
  std::set<std::array<uint8_t, 32>> digests;
  for (const char* tenant : {"a", "ab", ""}) {
    for (const char* tower : {"b", "", "a"}) {
      for (const ImageKind kind : {ImageKind::kFile, ImageKind::kPixels}) {
        for (const char* bytes : {"", "x", "fx"}) {
          digests.insert(EmbeddingKeyOf(tenant, tower, kind, bytes).digest);
        }
      }
    }
  }
  EXPECT_EQ(digests.size(), 3u * 3 * 2 * 3);
  EXPECT_EQ(EmbeddingKeyOf("a", "b", ImageKind::kFile, "x"),
            EmbeddingKeyOf("a", "b", ImageKind::kFile, "x"));
}

TEST_F(EmbeddingCacheTest, KeepsWhatHasLanded) {
  EmbeddingCache cache(10 * kEntry, &observer_);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  cache.Land(Key("a"), Feature(1));
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kHit);
  EXPECT_EQ(Look(&cache, "b"), CacheUse::kMiss);
  cache.Land(Key("b"), {});
  EXPECT_EQ(observer_.uses[CacheUse::kHit], 1);
  EXPECT_EQ(observer_.uses[CacheUse::kMiss], 2);
  EXPECT_EQ(observer_.bytes, kEntry);
  EXPECT_EQ(observer_.entries, 1);
}

TEST_F(EmbeddingCacheTest, EvictsTheLeastRecentlyUsedByBytes) {
  EmbeddingCache cache(2 * kEntry + 1, &observer_);
  for (const char* image : {"a", "b"}) {
    EXPECT_EQ(Look(&cache, image), CacheUse::kMiss);
    cache.Land(Key(image), Feature(1));
  }
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kHit);  // "b" is now the oldest
  EXPECT_EQ(Look(&cache, "c"), CacheUse::kMiss);
  cache.Land(Key("c"), Feature(1));
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kHit);
  EXPECT_EQ(Look(&cache, "c"), CacheUse::kHit);
  EXPECT_EQ(Look(&cache, "b"), CacheUse::kMiss);
  EXPECT_EQ(observer_.bytes, 2 * kEntry);
  EXPECT_EQ(observer_.evicted, 1);
}

TEST_F(EmbeddingCacheTest, WhatIsLargerThanAllIsNotKept) {
  EmbeddingCache cache(kEntry - 1, &observer_);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  cache.Land(Key("a"), Feature(1));
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
}

TEST_F(EmbeddingCacheTest, JoinersGetTheLeadersFeature) {
  EmbeddingCache cache(10 * kEntry, &observer_);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  EXPECT_EQ(Look(&cache, "a", "first"), CacheUse::kJoin);
  EXPECT_EQ(Look(&cache, "a", "second"), CacheUse::kJoin);
  EXPECT_TRUE(landings_.empty());
  cache.Land(Key("a"), Feature(5));
  EXPECT_EQ(order_, (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(landings_["second"].kind, Landing::Kind::kFeature);
  EXPECT_EQ(landings_["second"].feature->at(0), 5);
  EXPECT_EQ(landings_["second"].batch_size, 3);
  EXPECT_EQ(observer_.uses[CacheUse::kJoin], 2);
}

TEST_F(EmbeddingCacheTest, ABadImageIsBadForAllAndNotRemembered) {
  EmbeddingCache cache(10 * kEntry, &observer_);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  EXPECT_EQ(Look(&cache, "a", "joiner"), CacheUse::kJoin);
  cache.Land(Key("a"), {.kind = Landing::Kind::kBadImage,
                        .status = absl::InvalidArgumentError("bad")});
  EXPECT_EQ(landings_["joiner"].kind, Landing::Kind::kBadImage);
  EXPECT_EQ(landings_["joiner"].status.message(), "bad");
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
}

TEST_F(EmbeddingCacheTest, WhoJoinedTakesOverOneByOne) {
  EmbeddingCache cache(10 * kEntry, &observer_);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  EXPECT_EQ(Look(&cache, "a", "first"), CacheUse::kJoin);
  EXPECT_EQ(Look(&cache, "a", "second"), CacheUse::kJoin);
  cache.Land(Key("a"), {.kind = Landing::Kind::kLead});
  EXPECT_EQ(order_, std::vector<std::string>{"first"});
  EXPECT_EQ(landings_["first"].kind, Landing::Kind::kLead);
  EXPECT_EQ(Look(&cache, "a", "third"), CacheUse::kJoin);
  cache.Land(Key("a"), Feature(1));
  EXPECT_EQ(order_, (std::vector<std::string>{"first", "second", "third"}));
  EXPECT_EQ(landings_["second"].kind, Landing::Kind::kFeature);
  EXPECT_EQ(landings_["third"].kind, Landing::Kind::kFeature);
}

TEST_F(EmbeddingCacheTest, WhoCannotLeadOwesNothing) {
  EmbeddingCache cache(10 * kEntry, &observer_);
  const auto known = [&](const std::string& name) {
    return cache
        .FindKnown(Key("a"),
                   [&] {
                     return [this, name](const Landing& landing) {
                       order_.push_back(name);
                       landings_[name] = landing;
                     };
                   })
        .use;
  };
  EXPECT_EQ(known("nobody"), CacheUse::kMiss);
  EXPECT_EQ(known("nobody"), CacheUse::kMiss);
  EXPECT_EQ(Look(&cache, "a"), CacheUse::kMiss);
  EXPECT_EQ(known("first"), CacheUse::kJoin);
  EXPECT_EQ(Look(&cache, "a", "second"), CacheUse::kJoin);
  cache.Land(Key("a"), {.kind = Landing::Kind::kLead});
  EXPECT_EQ(order_, std::vector<std::string>{"first"});
  cache.Land(Key("a"), {.kind = Landing::Kind::kLead});
  EXPECT_EQ(order_, (std::vector<std::string>{"first", "second"}));
  cache.Land(Key("a"), Feature(1));
  EXPECT_EQ(known("nobody"), CacheUse::kHit);
}

}  // namespace
}  // namespace promptd::worker

#include "wire/blob_cache.h"

#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::wire {
namespace {

class BlobCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<BlobCache> Open(int64_t max_bytes = 100) {
    auto cache = BlobCache::Open(dir_.path() + "/cache", max_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  static std::string Put(BlobCache* cache, const std::string& bytes) {
    const std::string digest = Sha256Hex(bytes);
    cache->Put(digest, bytes);
    return digest;
  }
  testing::TempDir dir_;
};

TEST_F(BlobCacheTest, GivesBackWhatItHoldsAlsoAfterARestart) {
  std::string digest;
  {
    const auto cache = Open();
    digest = Put(cache.get(), "bytes");
    EXPECT_EQ(*cache->Get(digest), "bytes");
  }
  const auto cache = Open();
  EXPECT_EQ(*cache->Get(digest), "bytes");
  EXPECT_EQ(cache->bytes(), 5);
}

TEST_F(BlobCacheTest, StaysBoundedAndForgetsTheLeastRecentlyUsed) {
  const auto cache = Open(100);
  const std::string a = Put(cache.get(), std::string(40, 'a'));
  const std::string b = Put(cache.get(), std::string(40, 'b'));
  EXPECT_TRUE(cache->Get(a).ok());
  const std::string c = Put(cache.get(), std::string(40, 'c'));
  EXPECT_TRUE(cache->Get(a).ok());
  EXPECT_EQ(ErrorReason(cache->Get(b).status()), "BLOB_NOT_FOUND");
  EXPECT_TRUE(cache->Get(c).ok());
  EXPECT_LE(cache->bytes(), 100);
  // Larger than all of it: not kept, and nothing is given up for it.
  const std::string huge = Put(cache.get(), std::string(101, 'h'));
  EXPECT_FALSE(cache->Get(huge).ok());
  EXPECT_TRUE(cache->Get(a).ok());
}

TEST_F(BlobCacheTest, AFileThatChangedIsNotServed) {
  const auto cache = Open();
  const std::string digest = Put(cache.get(), "bytes");
  std::ofstream(dir_.path() + "/cache/" + digest) << "other";
  EXPECT_EQ(ErrorReason(cache->Get(digest).status()), "BLOB_NOT_FOUND");
  EXPECT_EQ(cache->bytes(), 0);
  EXPECT_EQ(Put(cache.get(), "bytes"), digest);
  EXPECT_EQ(*cache->Get(digest), "bytes");
}

TEST_F(BlobCacheTest, WhatACrashLeftIsRemoved) {
  std::filesystem::create_directories(dir_.path() + "/cache");
  std::ofstream(dir_.path() + "/cache/tmp-7") << "half";
  const auto cache = Open();
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/cache/tmp-7"));
}

TEST_F(BlobCacheTest, SharedBlobsAreReadWhereTheFrontEndKeepsThem) {
  const std::string digest = Sha256Hex("shared");
  const std::string folder = dir_.path() + "/" + digest.substr(0, 2);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/" + digest.substr(2)) << "shared";
  EXPECT_EQ(*ReadSharedBlob(dir_.path(), digest), "shared");
  EXPECT_EQ(ErrorReason(ReadSharedBlob(dir_.path(), Sha256Hex("x")).status()),
            "BLOB_NOT_FOUND");
  EXPECT_EQ(ErrorReason(ReadSharedBlob(dir_.path(), "../../x").status()),
            "BLOB_NOT_FOUND");
  std::ofstream(folder + "/" + digest.substr(2)) << "changed";
  EXPECT_EQ(ErrorReason(ReadSharedBlob(dir_.path(), digest).status()),
            "BLOB_CORRUPT");
}

}  // namespace
}  // namespace promptd::wire

#include "store/blob_store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/error.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() { Open(); }

  void Open(const BlobStoreOptions& options = {}) {
    auto opened = BlobStore::Open(dir_.path() + "/blobs", options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    blobs_ = *std::move(opened);
  }

  std::string PathOf(const std::string& digest) const {
    return dir_.path() + "/blobs/" + digest.substr(0, 2) + "/" +
           digest.substr(2);
  }

  std::ptrdiff_t Temporaries() const {
    return std::distance(fs::directory_iterator(dir_.path() + "/blobs/tmp"),
                         fs::directory_iterator());
  }

  testing::TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
};

TEST_F(BlobStoreTest, KeepsBytesByTheirDigest) {
  const std::string bytes("\0\x01 any bytes", 12);
  const auto digest = blobs_->Put(bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, Sha256Hex(bytes));
  EXPECT_TRUE(fs::is_regular_file(PathOf(*digest)));
  Open();
  EXPECT_EQ(*blobs_->Get(*digest), bytes);
  EXPECT_EQ(*blobs_->Size(*digest), 12);
  EXPECT_TRUE(blobs_->Has(*digest));
  EXPECT_EQ(*blobs_->Put(bytes), *digest);
  EXPECT_EQ(*blobs_->Get(*blobs_->Put("")), "");
}

TEST_F(BlobStoreTest, WhatIsNotStoredOrNoDigestIsNotFound) {
  std::ofstream(dir_.path() + "/blobs/secret") << "not a blob";
  for (const std::string& digest :
       {Sha256Hex("nobody stored this"), std::string(),
        std::string("../secret"), std::string("xx/../../secret"),
        std::string(64, '/'), std::string(64, 'A')}) {
    EXPECT_FALSE(blobs_->Has(digest)) << digest;
    const auto bytes = blobs_->Get(digest);
    EXPECT_EQ(bytes.status().code(), absl::StatusCode::kNotFound) << digest;
    EXPECT_EQ(ErrorReason(bytes.status()), "BLOB_NOT_FOUND") << digest;
    EXPECT_EQ(ErrorReason(blobs_->Size(digest).status()), "BLOB_NOT_FOUND");
  }
}

TEST_F(BlobStoreTest, DamageIsDataLossThatNamesTheDigest) {
  const std::string digest = *blobs_->Put("twelve bytes");
  std::fstream file(PathOf(digest),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3);
  file.put('X');
  file.close();
  const auto bytes = blobs_->Get(digest);
  EXPECT_EQ(bytes.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorReason(bytes.status()), "BLOB_CORRUPT");
  EXPECT_THAT(bytes.status().message(), HasSubstr(digest));
}

TEST_F(BlobStoreTest, AShortenedBlobIsDamageAndStoringItAgainHealsIt) {
  const std::string digest = *blobs_->Put("twelve bytes");
  fs::resize_file(PathOf(digest), 4);
  EXPECT_EQ(ErrorReason(blobs_->Get(digest).status()), "BLOB_CORRUPT");
  EXPECT_EQ(*blobs_->Put("twelve bytes"), digest);
  EXPECT_EQ(*blobs_->Get(digest), "twelve bytes");
}

TEST_F(BlobStoreTest, LeftoversOfACrashAreRemovedAtOpen) {
  std::ofstream(dir_.path() + "/blobs/tmp/half") << "half a bl";
  ASSERT_EQ(Temporaries(), 1);
  Open();
  EXPECT_EQ(Temporaries(), 0);
}

TEST_F(BlobStoreTest, ABatchIsVisibleAfterItsFlush) {
  auto batch = blobs_->NewBatch();
  const std::string first = *batch->Put("first");
  const std::string second = *batch->Put("second");
  ASSERT_TRUE(batch->Put("first").ok());
  EXPECT_FALSE(blobs_->Has(first));
  ASSERT_TRUE(batch->Flush().ok());
  EXPECT_EQ(*blobs_->Get(first), "first");
  EXPECT_EQ(*blobs_->Get(second), "second");
  EXPECT_EQ(Temporaries(), 0);
  EXPECT_TRUE(batch->Flush().ok());
}

TEST_F(BlobStoreTest, ADroppedBatchLeavesNothing) {
  std::string digest;
  {
    auto batch = blobs_->NewBatch();
    digest = *batch->Put("never flushed");
    EXPECT_EQ(Temporaries(), 1);
  }
  EXPECT_EQ(Temporaries(), 0);
  EXPECT_FALSE(blobs_->Has(digest));
}

TEST_F(BlobStoreTest, ALongBatchFlushesByItself) {
  auto batch = blobs_->NewBatch();
  const std::string first = *batch->Put("blob 0");
  for (int i = 1; i < 600; ++i) {
    ASSERT_TRUE(batch->Put("blob " + std::to_string(i)).ok());
  }
  EXPECT_TRUE(blobs_->Has(first));
  EXPECT_EQ(Temporaries(), 600 - 512);
}

TEST_F(BlobStoreTest, ManyThreadsMayStoreTheSameBytes) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this]() {
      for (int round = 0; round < 25; ++round) {
        const std::string bytes = "shared " + std::to_string(round);
        const auto digest = blobs_->Put(bytes);
        ASSERT_TRUE(digest.ok()) << digest.status();
        EXPECT_EQ(*blobs_->Get(*digest), bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Temporaries(), 0);
}

TEST_F(BlobStoreTest, OnlyWhatWasNotTouchedSinceIsRemoved) {
  const std::string digest = *blobs_->Put("bytes");
  const absl::Time before = absl::Now() - absl::Hours(1);
  const absl::Time after = absl::Now() + absl::Hours(1);
  EXPECT_FALSE(*blobs_->Remove(digest, before));
  EXPECT_TRUE(blobs_->Has(digest));
  fs::last_write_time(PathOf(digest),
                      fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_TRUE(blobs_->Keep(digest));
  EXPECT_FALSE(*blobs_->Remove(digest, before));
  EXPECT_TRUE(*blobs_->Remove(digest, after));
  EXPECT_FALSE(blobs_->Has(digest));
  EXPECT_FALSE(*blobs_->Remove(digest, after));
  EXPECT_FALSE(blobs_->Keep(digest));
  EXPECT_FALSE(*blobs_->Remove("../secret", after));
  EXPECT_EQ(*blobs_->Put("bytes"), digest);
  EXPECT_EQ(*blobs_->Get(digest), "bytes");
}

TEST_F(BlobStoreTest, EveryBlobIsVisitedOnceInOrder) {
  std::vector<std::string> digests;
  for (int i = 0; i < 50; ++i) {
    digests.push_back(*blobs_->Put("blob " + std::to_string(i)));
  }
  std::sort(digests.begin(), digests.end());
  std::ofstream(dir_.path() + "/blobs/ab/no-blob") << "x";
  std::vector<std::string> visited;
  const absl::Status status = blobs_->ForEach([&](const BlobEntry& blob) {
    visited.push_back(blob.digest);
    EXPECT_GE(blob.bytes, 6);
    EXPECT_LT(absl::Now() - blob.touched, absl::Hours(1));
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(visited, digests);
}

TEST_F(BlobStoreTest, AQuotaIsKeptAndFreedByRemoval) {
  const std::string digest = *blobs_->Put("twelve bytes");
  Open({.max_bytes = 20});
  EXPECT_EQ(blobs_->used_bytes(), 12);
  EXPECT_TRUE(blobs_->Put("twelve bytes").ok());  // it is there
  const auto more = blobs_->Put("nine byte");
  EXPECT_EQ(more.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(more.status()), "STORAGE_QUOTA");
  EXPECT_THAT(more.status().message(), HasSubstr("promptctl gc"));
  EXPECT_EQ(Temporaries(), 0);
  auto batch = blobs_->NewBatch();
  ASSERT_TRUE(batch->Put("eight by").ok());
  EXPECT_EQ(ErrorReason(batch->Put("x").status()), "STORAGE_QUOTA");
  ASSERT_TRUE(batch->Flush().ok());
  EXPECT_EQ(blobs_->used_bytes(), 20);
  ASSERT_TRUE(*blobs_->Remove(digest, absl::InfiniteFuture()));
  EXPECT_EQ(blobs_->used_bytes(), 8);
  EXPECT_TRUE(blobs_->Put("nine byte").ok());
}

}  // namespace
}  // namespace promptd::store

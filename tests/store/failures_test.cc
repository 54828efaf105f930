// What a disk that fails at any step leaves behind.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "store/blob_store.h"
#include "store/data_dir.h"
#include "store/sqlite_database.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/scoped_failpoints.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

namespace fs = std::filesystem;
using testing::ScopedFailpoints;

class BlobFailuresTest : public ::testing::Test {
 protected:
  BlobFailuresTest() {
    auto opened = BlobStore::Open(folder(), {.max_bytes = 1000});
    EXPECT_TRUE(opened.ok()) << opened.status();
    blobs_ = *std::move(opened);
  }

  std::string folder() const { return dir_.path() + "/blobs"; }

  // The blob is not there, in no form, and does not count.
  void ExpectNothing(const std::string& bytes) {
    EXPECT_FALSE(blobs_->Has(Sha256Hex(bytes)));
    EXPECT_TRUE(fs::is_empty(folder() + "/tmp"));
    EXPECT_EQ(blobs_->used_bytes(), 0);
  }

  testing::TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
};

TEST_F(BlobFailuresTest, AWriteThatStopsHalfWayLeavesNothing) {
  {
    const ScopedFailpoints full("blob.write=error(ENOSPC)@1");
    const auto digest = blobs_->Put("half of this is written");
    EXPECT_EQ(digest.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ErrorReason(digest.status()), "DISK_FULL");
    EXPECT_EQ(full.fired("blob.write"), 1);
    ExpectNothing("half of this is written");
    // Nor does the next one, which fits, find anything in its way.
    EXPECT_TRUE(blobs_->Put("half of this is written").ok());
  }
  EXPECT_EQ(*blobs_->Get(Sha256Hex("half of this is written")),
            "half of this is written");
}

TEST_F(BlobFailuresTest, AKillHalfWayThroughAWriteLeavesNoBlob) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const ScopedFailpoints killed("blob.write=kill");
    blobs_->Put("half of this is written").IgnoreError();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the failpoint was not reached";
  EXPECT_FALSE(blobs_->Has(Sha256Hex("half of this is written")));
  EXPECT_FALSE(fs::is_empty(folder() + "/tmp"));
  blobs_ = *BlobStore::Open(folder(), {.max_bytes = 1000});
  ExpectNothing("half of this is written");
}

TEST_F(BlobFailuresTest, BytesThatAreNotDurableAreNoBlob) {
  const ScopedFailpoints fail("blob.sync=error(EIO)@1");
  const auto digest = blobs_->Put("lost in a power cut");
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fail.fired("blob.sync"), 1);
  ExpectNothing("lost in a power cut");
}

TEST_F(BlobFailuresTest, AnAcknowledgedBlobHasADurableName) {
  const ScopedFailpoints fail("blob.folder=error(EIO)@1");
  EXPECT_EQ(ErrorReason(blobs_->Put("named").status()), "FILE_WRITE_FAILED");
  EXPECT_EQ(fail.fired("blob.folder"), 1);
  // It is there: to store it again makes its name durable.
  EXPECT_TRUE(blobs_->Put("named").ok());
  EXPECT_EQ(fail.passed("blob.folder"), 2);
}

TEST_F(BlobFailuresTest, WhatGotNoNameDoesNotCount) {
  const ScopedFailpoints fail("blob.rename=error(EACCES)@1");
  const std::string bytes(900, 'x');
  EXPECT_EQ(ErrorReason(blobs_->Put(bytes).status()), "FILE_WRITE_FAILED");
  ExpectNothing(bytes);
  EXPECT_TRUE(blobs_->Put(bytes).ok());
  EXPECT_EQ(ErrorReason(blobs_->Put(std::string(101, 'y')).status()),
            "STORAGE_QUOTA");
}

TEST_F(BlobFailuresTest, ABatchThatFailsLeavesNothing) {
  for (const std::string point : {"blob.write", "blob.sync", "blob.rename"}) {
    const ScopedFailpoints fail(point + "=error(ENOSPC)@2");
    auto batch = blobs_->NewBatch();
    absl::Status status = batch->Put("one").status();
    status.Update(batch->Put("two").status());
    status.Update(batch->Flush());
    EXPECT_EQ(ErrorReason(status), "DISK_FULL") << point;
    batch.reset();
    EXPECT_TRUE(fs::is_empty(folder() + "/tmp")) << point;
  }
}

TEST_F(BlobFailuresTest, WhatCannotBeReadIsNotCalledDamaged) {
  const std::string digest = *blobs_->Put("whole");
  const ScopedFailpoints fail("blob.read=error(EIO)@1;blob.bytes=spoil@2");
  const absl::Status unread = blobs_->Get(digest).status();
  EXPECT_EQ(unread.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReason(unread), "FILE_READ_FAILED");
  EXPECT_EQ(*blobs_->Get(digest), "whole");
  const absl::Status damaged = blobs_->Get(digest).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorReason(damaged), "BLOB_CORRUPT");
  EXPECT_EQ(fail.fired("blob.bytes"), 1);
}

TEST_F(BlobFailuresTest, WhatCannotBeDeletedStillCounts) {
  const std::string digest = *blobs_->Put("stays");
  const ScopedFailpoints fail("blob.remove=error(EROFS)@1");
  const auto later = absl::InfiniteFuture();
  EXPECT_EQ(ErrorReason(blobs_->Remove(digest, later).status()),
            "FILE_WRITE_FAILED");
  EXPECT_TRUE(blobs_->Has(digest));
  EXPECT_EQ(blobs_->used_bytes(), 5);
  EXPECT_TRUE(*blobs_->Remove(digest, later));
  EXPECT_EQ(blobs_->used_bytes(), 0);
}

class DatabaseFailuresTest : public ::testing::Test {
 protected:
  // With a file system that can fail.
  void Open() {
    db_.reset();
    auto opened = OpenSqlite({.data_dir = dir_.path()}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
  }

  absl::Status Run(const std::string& sql) {
    return db_->Write(
        [&](Transaction& tx) { return tx.Query(sql, {}).status(); });
  }

  int64_t Rows() {
    const auto rows = ReadFor<std::vector<Row>>(db_.get(), [](Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM heap", {});
    });
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? rows->at(0).Int(0) : -1;
  }

  // Writes a row with the n-th call of the point failing, for every n until
  // the row is written before that; how many refusals there were.
  int FailEveryCall(const std::string& point, const std::string& reason) {
    for (int n = 1; n < 1000; ++n) {
      db_.reset();
      const ScopedFailpoints fail(absl::StrCat(point, "@", n));
      Open();
      if (HasFatalFailure()) return -1;
      const int64_t before = fail.passed(point.substr(0, point.find('=')));
      if (before >= n) continue;  // while it was opened
      const int64_t rows = Rows();
      const absl::Status written =
          Run("INSERT INTO heap (bytes) VALUES (zeroblob(20000))");
      if (written.ok()) {
        EXPECT_EQ(Rows(), rows + 1);
        if (fail.fired(point.substr(0, point.find('='))) == 0) return n - 1;
        continue;  // a checkpoint behind the commit, which is tried again
      }
      EXPECT_EQ(ErrorReason(written), reason)
          << "call " << n << ": " << written;
      EXPECT_EQ(Rows(), rows) << "call " << n;
      EXPECT_TRUE(Run("INSERT INTO heap (bytes) VALUES ('next')").ok());
      EXPECT_EQ(Rows(), rows + 1) << "call " << n;
      Open();
      EXPECT_EQ(Rows(), rows + 1) << "call " << n << ", after a restart";
      if (HasFailure()) return -1;
    }
    return -1;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseFailuresTest, AFullDiskAtAnyWriteIsRefusedAndUndone) {
  Open();
  ASSERT_TRUE(Run("CREATE TABLE heap (bytes)").ok());
  EXPECT_GE(FailEveryCall("db.write=error(ENOSPC)", "DISK_FULL"), 3);
}

TEST_F(DatabaseFailuresTest, AnIoErrorAtAnyWriteIsRefusedAndUndone) {
  Open();
  ASSERT_TRUE(Run("CREATE TABLE heap (bytes)").ok());
  EXPECT_GE(FailEveryCall("db.write=error(EIO)", "DATABASE_IO"), 3);
}

TEST_F(DatabaseFailuresTest, ACommitThatIsNotDurableIsRefusedAndUndone) {
  Open();
  ASSERT_TRUE(Run("CREATE TABLE heap (bytes)").ok());
  EXPECT_GE(FailEveryCall("db.sync=error(EIO)", "DATABASE_IO"), 1);
}

TEST(DataDirFailuresTest, ANetworkFileSystemIsRefusedUnlessForced) {
  testing::TempDir dir;
  testing::FakeClock clock;
  const ScopedFailpoints network("data_dir.type=spoil");
  const absl::Status refused =
      OpenSqlite({.data_dir = dir.path()}, &clock).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(refused), "NETWORK_FILE_SYSTEM");
  EXPECT_EQ(network.fired("data_dir.type"), 1);
  EXPECT_TRUE(
      OpenSqlite({.data_dir = dir.path(), .allow_network_file_system = true},
                 &clock)
          .ok());
}

}  // namespace
}  // namespace promptd::store

// A full disk, provoked in two ways that need no privileges: the database's
// own page limit, and the process's limit on the size of a file.
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>

#include "common/error.h"
#include "common/file.h"
#include "gtest/gtest.h"
#include "store/blob_store.h"
#include "store/sqlite_database.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

namespace fs = std::filesystem;

// No file may grow past `bytes` while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit_), 0);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_;
  sighandler_t old_handler_;
};

class DiskFullTest : public ::testing::Test {
 protected:
  DiskFullTest() {
    auto opened = OpenSqlite({.data_dir = dir_.path()}, &clock_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
    EXPECT_TRUE(Run("CREATE TABLE heap (bytes TEXT)").ok());
  }

  absl::Status Run(const std::string& sql) {
    return db_->Write(
        [&](Transaction& tx) { return tx.Query(sql, {}).status(); });
  }

  absl::Status Fill(size_t bytes) {
    return db_->Write([&](Transaction& tx) {
      return tx
          .Execute("INSERT INTO heap (bytes) VALUES (?)",
                   {std::string(bytes, 'x')})
          .status();
    });
  }

  int64_t Rows() {
    const auto rows = ReadFor<std::vector<Row>>(db_.get(), [](Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM heap", {});
    });
    return rows.ok() ? rows->at(0).Int(0) : -1;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<Database> db_;
};

TEST_F(DiskFullTest, TheDatabaseRefusesAndGoesOnWhenThereIsRoomAgain) {
  ASSERT_TRUE(Fill(1000).ok());
  ASSERT_TRUE(Run("PRAGMA max_page_count=1").ok());  // what it has already
  const absl::Status full = Fill(1 << 20);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(full), "DISK_FULL");
  EXPECT_EQ(Rows(), 1);
  ASSERT_TRUE(Run("PRAGMA max_page_count=1000000").ok());
  EXPECT_TRUE(Fill(1 << 20).ok());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(DiskFullTest, AWriteThatTheSystemRefusesIsTheSame) {
  ASSERT_TRUE(Fill(1000).ok());
  {
    const FileSizeLimit limit(1 << 20);
    const absl::Status full = Fill(4 << 20);
    EXPECT_EQ(ErrorReason(full), "DISK_FULL") << full;
    EXPECT_EQ(Rows(), 1);
  }
  EXPECT_TRUE(Fill(4 << 20).ok());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(DiskFullTest, ABlobThatDoesNotFitLeavesNothing) {
  const auto blobs = BlobStore::Open(dir_.path() + "/blobs");
  ASSERT_TRUE(blobs.ok()) << blobs.status();
  const std::string large(1 << 20, 'y');
  {
    const FileSizeLimit limit(4096);
    const auto digest = (*blobs)->Put(large);
    EXPECT_EQ(digest.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ErrorReason(digest.status()), "DISK_FULL");
    const auto batch = (*blobs)->NewBatch();
    EXPECT_TRUE(batch->Put("small").ok());
    EXPECT_EQ(ErrorReason(batch->Put(large).status()), "DISK_FULL");
    EXPECT_TRUE(batch->Flush().ok());
  }
  EXPECT_TRUE(fs::is_empty(dir_.path() + "/blobs/tmp"));
  const auto digest = (*blobs)->Put(large);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*(*blobs)->Get(*digest), large);
}

TEST_F(DiskFullTest, AnAtomicWriteThatDoesNotFitLeavesTheOldFile) {
  const std::string path = dir_.path() + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  {
    const FileSizeLimit limit(4096);
    const absl::Status full = WriteFileAtomically(path, std::string(8192, 'z'));
    EXPECT_EQ(ErrorReason(full), "DISK_FULL");
  }
  EXPECT_EQ(*ReadFile(path, 100), "old");
}

}  // namespace
}  // namespace promptd::store

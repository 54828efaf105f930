// What the SQLite file itself promises.
#include "store/sqlite_database.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

using ::testing::HasSubstr;

class SqliteDatabaseTest : public ::testing::Test {
 protected:
  SqliteDatabaseTest() {
    auto opened = OpenSqlite({.data_dir = dir_.path()}, &clock_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
    EXPECT_TRUE(Run("CREATE TABLE fruit (id INTEGER PRIMARY KEY)").ok());
  }

  absl::Status Run(const std::string& sql) {
    return db_->Write(
        [&](Transaction& tx) { return tx.Execute(sql, {}).status(); });
  }

  std::string Pragma(const std::string& name) {
    // A write transaction: asking for journal_mode counts as a write.
    const auto rows = WriteFor<std::vector<Row>>(
        db_.get(),
        [&](Transaction& tx) { return tx.Query("PRAGMA " + name, {}); });
    if (!rows.ok() || rows->empty()) return "?";
    return rows->at(0).IsNull(0) || rows->at(0).Text(0).empty()
               ? std::to_string(rows->at(0).Int(0))
               : rows->at(0).Text(0);
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<Database> db_;
};

TEST_F(SqliteDatabaseTest, SettingsAreTheDurableOnes) {
  EXPECT_EQ(Pragma("journal_mode"), "wal");
  EXPECT_EQ(Pragma("synchronous"), "2");
  EXPECT_EQ(Pragma("foreign_keys"), "1");
  EXPECT_EQ(Pragma("locking_mode"), "exclusive");
}

TEST_F(SqliteDatabaseTest, PagesTakeTheMemoryTheyMay) {
  EXPECT_EQ(Pragma("cache_size"), "-65536");  // KiB
  db_.reset();
  auto opened = OpenSqlite(
      {.data_dir = dir_.path(), .max_cache_bytes = 3 << 20}, &clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  db_ = *std::move(opened);
  EXPECT_EQ(Pragma("cache_size"), "-3072");
}

// A copy of the files taken while the database is open is what a crash of the
// process leaves on disk.
TEST_F(SqliteDatabaseTest, ACopyTakenWhileOpenHoldsEveryCommit) {
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(
        Run("INSERT INTO fruit (id) VALUES (" + std::to_string(i) + ")").ok());
  }
  testing::TempDir copy;
  const auto files = std::filesystem::directory_iterator(dir_.path());
  for (const auto& file : files) {
    std::filesystem::copy(file.path(), copy.path() / file.path().filename());
  }
  const auto opened = OpenSqlite({.data_dir = copy.path()}, &clock_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const auto rows =
      ReadFor<std::vector<Row>>(opened->get(), [](Transaction& tx) {
        return tx.Query("SELECT COUNT(*) FROM fruit", {});
      });
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->at(0).Int(0), 20);
  const auto check = ReadFor<std::vector<Row>>(
      opened->get(),
      [](Transaction& tx) { return tx.Query("PRAGMA integrity_check", {}); });
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->at(0).Text(0), "ok");
}

TEST_F(SqliteDatabaseTest, ADamagedFileIsDataLossAndSaysWhich) {
  db_.reset();
  const std::string path = dir_.path() + "/promptd.db";
  std::ofstream(path, std::ios::trunc) << std::string(8192, 'x');
  const auto opened = OpenSqlite({.data_dir = dir_.path()}, &clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorReason(opened.status()), "DATABASE_CORRUPT");
  EXPECT_THAT(opened.status().message(), HasSubstr(path));
}

}  // namespace
}  // namespace promptd::store

// What every database promises, run on a real file. Another backend joins by
// another OpenDatabase.
#include "store/database.h"

#include <thread>
#include <vector>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/sqlite_database.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

using ::testing::ElementsAre;

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() {
    Open();
    const absl::Status made = db_->Write([](Transaction& tx) {
      return tx
          .Execute(
              "CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT"
              " UNIQUE, weight REAL CHECK (weight > 0))",
              {})
          .status();
    });
    EXPECT_TRUE(made.ok()) << made;
  }

  void Open() {
    db_.reset();
    auto opened = OpenSqlite({.data_dir = dir_.path()}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
  }

  absl::Status Insert(int id, const Value& name, const Value& weight) {
    return db_->Write([&](Transaction& tx) {
      return tx
          .Execute("INSERT INTO fruit (id, name, weight) VALUES (?, ?, ?)",
                   {id, name, weight})
          .status();
    });
  }

  int64_t Count() {
    const auto rows = ReadFor<std::vector<Row>>(db_.get(), [](Transaction& tx) {
      return tx.Query("SELECT COUNT(*) FROM fruit", {});
    });
    return rows.ok() ? rows->at(0).Int(0) : -1;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseTest, KeepsValuesOfEveryKindAcrossAReopen) {
  const std::string bytes("a\0b\xc3\xa4", 5);
  ASSERT_TRUE(Insert(1, bytes, 0.1).ok());
  ASSERT_TRUE(Insert(2, nullptr, nullptr).ok());
  Open();
  const auto rows = ReadFor<std::vector<Row>>(db_.get(), [](Transaction& tx) {
    return tx.Query("SELECT id, name, weight FROM fruit ORDER BY id", {});
  });
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].Int(0), 1);
  EXPECT_EQ((*rows)[0].Text(1), bytes);
  EXPECT_EQ((*rows)[0].Real(2), 0.1);
  EXPECT_TRUE((*rows)[1].IsNull(1));
  EXPECT_TRUE((*rows)[1].IsNull(2));
}

TEST_F(DatabaseTest, AnErrorOfTheBodyUndoesAllOfIt) {
  const absl::Status status = db_->Write([](Transaction& tx) {
    EXPECT_TRUE(tx.Execute("INSERT INTO fruit (id) VALUES (7)", {}).ok());
    return MakeError(absl::StatusCode::kAborted, "CHANGED_MY_MIND", "no");
  });
  EXPECT_EQ(ErrorReason(status), "CHANGED_MY_MIND");
  EXPECT_EQ(Count(), 0);
  EXPECT_TRUE(Insert(7, "plum", 1.0).ok());
}

TEST_F(DatabaseTest, AfterCommitRunsOutsideTheLockAndNotAfterARollback) {
  std::vector<std::string> log;
  ASSERT_TRUE(db_->Write([&](Transaction& tx) {
                   // Reading again would deadlock under the lock.
                   tx.AfterCommit([&]() {
                     log.push_back("first");
                     Count();
                   });
                   tx.AfterCommit([&]() { log.push_back("second"); });
                   EXPECT_TRUE(log.empty());
                   return absl::OkStatus();
                 })
                  .ok());
  EXPECT_FALSE(db_->Write([&](Transaction& tx) {
                    tx.AfterCommit([&]() { log.push_back("never"); });
                    return absl::CancelledError("no");
                  })
                   .ok());
  EXPECT_THAT(log, ElementsAre("first", "second"));
}

TEST_F(DatabaseTest, NamesBrokenConstraints) {
  ASSERT_TRUE(Insert(1, "plum", 1.0).ok());
  const absl::Status twice = Insert(2, "plum", 1.0);
  EXPECT_EQ(twice.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrorReason(twice), "ROW_EXISTS");
  const absl::Status negative = Insert(3, "pear", -1.0);
  EXPECT_EQ(negative.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ErrorReason(negative), "DATABASE_CONSTRAINT");
  EXPECT_EQ(Count(), 1);
}

TEST_F(DatabaseTest, RefusesWrongStatements) {
  const auto run = [&](const char* sql, const std::vector<Value>& values) {
    return ErrorReason(db_->Write(
        [&](Transaction& tx) { return tx.Execute(sql, values).status(); }));
  };
  EXPECT_EQ(run("SELEKT", {}), "DATABASE_ERROR");
  EXPECT_EQ(run("DELETE FROM fruit WHERE id=?", {}), "DATABASE_ERROR");
  EXPECT_EQ(run("DELETE FROM fruit; DELETE FROM fruit", {}), "DATABASE_ERROR");
  EXPECT_EQ(run("", {}), "DATABASE_ERROR");
}

TEST_F(DatabaseTest, AReadTransactionCannotWrite) {
  const absl::Status status = db_->Read([](Transaction& tx) {
    return tx.Execute("INSERT INTO fruit (id) VALUES (7)", {}).status();
  });
  EXPECT_EQ(ErrorReason(status), "DATABASE_ERROR");
  EXPECT_EQ(Count(), 0);
}

TEST_F(DatabaseTest, TransactionsOfManyThreadsDoNotMix) {
  ASSERT_TRUE(Insert(1, "counter", 1.0).ok());
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this]() {
      for (int round = 0; round < kRounds; ++round) {
        const absl::Status status =
            db_->Write([](Transaction& tx) -> absl::Status {
              const auto rows = tx.Query("SELECT weight FROM fruit", {});
              if (!rows.ok()) return rows.status();
              return tx
                  .Execute("UPDATE fruit SET weight=?",
                           {rows->at(0).Real(0) + 1})
                  .status();
            });
        EXPECT_TRUE(status.ok()) << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto rows = ReadFor<std::vector<Row>>(db_.get(), [](Transaction& tx) {
    return tx.Query("SELECT weight FROM fruit", {});
  });
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->at(0).Real(0), 1.0 + kThreads * kRounds);
}

}  // namespace
}  // namespace promptd::store

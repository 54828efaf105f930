#include "store/migrations.h"

#include <memory>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/sqlite_database.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Time kNow = absl::UnixEpoch();

class MigrationsTest : public ::testing::Test {
 protected:
  MigrationsTest() {
    auto opened =
        SqliteConnection::Open(dir_.path() + "/a.db", kDefaultCacheBytes);
    EXPECT_TRUE(opened.ok()) << opened.status();
    connection_ = *std::move(opened);
  }

  int64_t Int(const std::string& sql) {
    const auto result = connection_->Run(sql, {});
    return result.ok() && !result->rows.empty() ? result->rows[0].Int(0) : -1;
  }

  testing::TempDir dir_;
  std::unique_ptr<SqliteConnection> connection_;
};

TEST_F(MigrationsTest, BuildAnEmptyDatabaseAndRunOnce) {
  ASSERT_TRUE(Migrate(*connection_, EmbeddedMigrations(), kNow).ok());
  for (const char* table :
       {"job", "job_attempt", "job_event", "task", "prompt_version", "alias",
        "alias_history", "evaluation", "dataset", "feature_blob", "encoder",
        "version_tag", "job_checkpoint"}) {
    EXPECT_EQ(Int(std::string("SELECT COUNT(*) FROM ") + table), 0) << table;
  }
  EXPECT_EQ(Int("SELECT MAX(version) FROM schema_migration"),
            EmbeddedMigrations().back().version);
  EXPECT_TRUE(Migrate(*connection_, EmbeddedMigrations(), kNow).ok());
}

TEST_F(MigrationsTest, AreNumberedWithoutGaps) {
  int expected = 1;
  for (const Migration& migration : EmbeddedMigrations()) {
    EXPECT_EQ(migration.version, expected++) << migration.name;
  }
  EXPECT_GT(expected, 1);
}

TEST_F(MigrationsTest, OnlyTheMissingOnesRun) {
  std::vector<Migration> all = {{1, "first", "CREATE TABLE one (id INTEGER)"}};
  ASSERT_TRUE(Migrate(*connection_, all, kNow).ok());
  all.push_back({2, "second",
                 "CREATE TABLE two (id INTEGER); INSERT INTO two VALUES (5)"});
  ASSERT_TRUE(Migrate(*connection_, all, kNow).ok());
  ASSERT_TRUE(Migrate(*connection_, all, kNow).ok());
  EXPECT_EQ(Int("SELECT COUNT(*) FROM two"), 1);
}

// A database as the first release left it.
TEST_F(MigrationsTest, EvaluationsOfVersionsKeepTheirJobs) {
  const std::vector<Migration>& all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(*connection_, {all[0]}, kNow).ok());
  ASSERT_TRUE(
      connection_
          ->Script(
              "INSERT INTO task (id, tenant, name, encoder, encoder_digest,"
              " class_names, created) VALUES (3, 't', 'pets', 'e', 'd', '[]',"
              " 0);"
              "INSERT INTO job (id, tenant, task, state, spec, encoder_digest,"
              " dataset_digest, body_sha256, run_at, created, ended, version)"
              " VALUES (7, 't', 'pets', 'succeeded', '{}', 'd', 'x', 'b', 0,"
              " 0, 1, 1);"
              "INSERT INTO prompt_version (task_id, version, digest,"
              " context_digest, features_digest, dataset, dataset_digest,"
              " encoder_digest, job_id, spec, created) VALUES (3, 1, 'm', 'c',"
              " 'f', 'cats', 'x', 'd', 7, '{}', 5);"
              "INSERT INTO evaluation (task_id, version, dataset_digest,"
              " split, result, created) VALUES (3, 1, 'x', 'test', '{\"a\":1}',"
              " 5)")
          .ok());
  const absl::Status migrated = Migrate(*connection_, all, kNow);
  ASSERT_TRUE(migrated.ok()) << migrated;
  EXPECT_EQ(Int("SELECT COUNT(*) FROM evaluation WHERE job_id=7 AND task_id=3"
                " AND version=1 AND dataset='cats' AND dataset_digest='x'"
                " AND split='test' AND result='{\"a\":1}' AND created=5"),
            1);
  EXPECT_EQ(Int("SELECT COUNT(*) FROM job WHERE kind='train'"), 1);
}

// A database before aliases had reasons and versions sources.
TEST_F(MigrationsTest, HistoriesAndSourcesOfVersionsAreKept) {
  const std::vector<Migration>& all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(*connection_, {all[0], all[1]}, kNow).ok());
  const absl::Status filled = connection_->Script(
      "INSERT INTO task (id, tenant, name, encoder, encoder_digest,"
      " class_names, created) VALUES (3, 't', 'pets', 'e', 'd', '[]', 0),"
      " (4, 't', 'birds', 'e', 'd', '[]', 0),"
      " (5, 'other', 'pets', 'e', 'd', '[]', 0);"
      "INSERT INTO job (id, tenant, task, state, spec, encoder_digest,"
      " dataset_digest, body_sha256, run_at, created, ended, version) VALUES"
      " (7, 't', 'pets', 'succeeded', '{}', 'd', 'x', 'b', 0, 0, 1, 1),"
      " (8, 't', 'birds', 'succeeded', '{}', 'd', 'x', 'b', 0, 0, 1, 1);"
      "INSERT INTO prompt_version (task_id, version, digest, context_digest,"
      " features_digest, dataset, dataset_digest, encoder_digest, job_id, spec,"
      " created) VALUES (3, 1, 'm', 'c', 'f', 'cats', 'x', 'd', 7,"
      " '{\"initial_version\":0}', 5), (4, 1, 'n', 'c', 'f', 'cats', 'x', 'd',"
      " 8, '{\"initial_task\":\"pets\",\"initial_version\":1}', 5);"
      "INSERT INTO alias (task_id, name, version, revision, updated) VALUES"
      " (3, 'production', 1, 1, 5);"
      "INSERT INTO alias_history (task_id, name, revision, version,"
      " previous_version, changed) VALUES (3, 'production', 1, 1, 0, 5)");
  ASSERT_TRUE(filled.ok()) << filled;
  const absl::Status migrated = Migrate(*connection_, all, kNow);
  ASSERT_TRUE(migrated.ok()) << migrated;
  EXPECT_EQ(Int("SELECT COUNT(*) FROM alias_history WHERE task_id=3 AND"
                " name='production' AND revision=1 AND version=1 AND"
                " previous_version=0 AND changed=5 AND actor=''"),
            1);
  EXPECT_FALSE(connection_->Run("DELETE FROM alias_history", {}).ok());
  EXPECT_EQ(Int("SELECT COUNT(*) FROM prompt_version WHERE task_id=4 AND"
                " source_task_id=3 AND source_version=1"),
            1);
  EXPECT_EQ(Int("SELECT COUNT(*) FROM prompt_version WHERE task_id=3 AND"
                " source_task_id IS NULL AND source_version IS NULL"),
            1);
  EXPECT_FALSE(
      connection_->Run("UPDATE prompt_version SET spec='{}'", {}).ok());
}

// A database before checkpoints were listed and the use of features was kept.
TEST_F(MigrationsTest, JobsGoOnAndFeaturesCountAsJustUsed) {
  const std::vector<Migration>& all = EmbeddedMigrations();
  ASSERT_TRUE(Migrate(*connection_, {all.begin(), all.begin() + 5}, kNow).ok());
  const absl::Status filled = connection_->Script(
      "INSERT INTO job (id, tenant, task, state, spec, encoder_digest,"
      " dataset_digest, body_sha256, run_at, created, checkpoint_digest,"
      " owner, lease_until, cancel_requested) VALUES (7, 't', 'pets',"
      " 'running', '{}', 'd', 'x', 'b', 0, 0, 'c', 'w', 1, 1);"
      "INSERT INTO feature_blob (key, digest, created) VALUES ('k', 'f', 5)");
  ASSERT_TRUE(filled.ok()) << filled;
  const absl::Status migrated = Migrate(*connection_, all, kNow);
  ASSERT_TRUE(migrated.ok()) << migrated;
  EXPECT_EQ(Int("SELECT COUNT(*) FROM job WHERE id=7 AND cancel_requested=1"
                " AND cancel_after_checkpoint=0 AND checkpoint_digest='c'"),
            1);
  EXPECT_EQ(Int("SELECT COUNT(*) FROM job_checkpoint"), 0);
  EXPECT_GT(Int("SELECT used FROM feature_blob WHERE created=5"),
            int64_t{1700000000} * 1000);
}

TEST_F(MigrationsTest, OneThatFailsLeavesTheSchemaBeforeIt) {
  const std::vector<Migration> broken = {
      {1, "first", "CREATE TABLE one (id INTEGER)"},
      {2, "broken", "CREATE TABLE two (id INTEGER); CREATE TABEL three (x)"}};
  const absl::Status status = Migrate(*connection_, broken, kNow);
  EXPECT_THAT(status.message(), HasSubstr("schema version 2 (broken)"));
  EXPECT_EQ(Int("SELECT MAX(version) FROM schema_migration"), 1);
  EXPECT_EQ(Int("SELECT COUNT(*) FROM one"), 0);
  EXPECT_EQ(Int("SELECT COUNT(*) FROM sqlite_master WHERE name='two'"), 0);
  const std::vector<Migration> repaired = {
      broken[0], {2, "second", "CREATE TABLE two (id INTEGER)"}};
  EXPECT_TRUE(Migrate(*connection_, repaired, kNow).ok());
  EXPECT_EQ(Int("SELECT COUNT(*) FROM two"), 0);
}

TEST_F(MigrationsTest, ANewerSchemaIsRefusedWithBothVersions) {
  ASSERT_TRUE(Migrate(*connection_, EmbeddedMigrations(), kNow).ok());
  ASSERT_TRUE(connection_
                  ->Run("INSERT INTO schema_migration (version, name, applied)"
                        " VALUES (4711, 'future', 0)",
                        {})
                  .ok());
  const absl::Status status = Migrate(*connection_, EmbeddedMigrations(), kNow);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(status), "SCHEMA_TOO_NEW");
  EXPECT_THAT(
      status.message(),
      AllOf(HasSubstr("4711"),
            HasSubstr("up to " +
                      std::to_string(EmbeddedMigrations().back().version)),
            HasSubstr("upgrade promptd")));
}

}  // namespace
}  // namespace promptd::store

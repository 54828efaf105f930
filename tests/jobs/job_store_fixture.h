// A job store on a real database file with a clock of the test's own.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "gtest/gtest.h"
#include "jobs/job_store.h"
#include "store/sqlite_database.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::jobs {

inline constexpr absl::Duration kLease = absl::Seconds(15);

class JobStoreFixture : public ::testing::Test {
 protected:
  JobStoreFixture() { Open({}); }

  void Open(const JobPolicy& policy) {
    jobs_.reset();
    db_.reset();
    auto opened = store::OpenSqlite({.data_dir = dir_.path()}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
    jobs_ = std::make_unique<JobStore>(db_.get(), &clock_, policy);
  }

  static NewJob SomeJob(const std::string& task = "pets") {
    return {.tenant = "default",
            .task = task,
            .spec_json = R"({"shots":16})",
            .encoder_digest = "e1",
            .dataset_digest = "d1",
            .request_id = "",
            .body_sha256 = "b1"};
  }

  Job Create(const NewJob& job = SomeJob()) {
    auto created = jobs_->Create(job);
    EXPECT_TRUE(created.ok()) << created.status();
    return created.ok() ? *std::move(created) : Job();
  }

  // The next job, or one without an id.
  Job Lease(const std::string& worker = "w1") {
    auto leased = jobs_->Lease({worker, {"e0", "e1"}, kLease});
    EXPECT_TRUE(leased.ok()) << leased.status();
    return leased.ok() && leased->has_value() ? **std::move(leased) : Job();
  }

  Job Get(int64_t id) {
    auto job = jobs_->Get("default", id);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *std::move(job) : Job();
  }

  absl::Status Complete(int64_t id, int64_t fence, int64_t version) {
    return db_->Write([&](store::Transaction& tx) {
      return jobs_->Complete(tx, id, fence, version, R"({"accuracy":1})");
    });
  }

  // Every event of a job; checks that the numbers have no gaps.
  std::vector<JobEvent> Events(int64_t id) {
    auto events = jobs_->Events("default", id, 0, 1000);
    EXPECT_TRUE(events.ok()) << events.status();
    if (!events.ok()) return {};
    for (size_t i = 0; i < events->size(); ++i) {
      EXPECT_EQ((*events)[i].sequence, static_cast<int64_t>(i) + 1);
    }
    return *std::move(events);
  }

  // How each claim of a job ended, oldest first.
  std::vector<std::string> Outcomes(int64_t id) {
    const auto rows = store::ReadFor<std::vector<store::Row>>(
        db_.get(), [&](store::Transaction& tx) {
          return tx.Query(
              "SELECT COALESCE(outcome, 'open') FROM job_attempt"
              " WHERE job_id=? ORDER BY fence",
              {id});
        });
    std::vector<std::string> outcomes;
    if (rows.ok()) {
      for (const store::Row& row : *rows) outcomes.push_back(row.Text(0));
    }
    return outcomes;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<store::Database> db_;
  std::unique_ptr<JobStore> jobs_;
};

}  // namespace promptd::jobs

// What happens to a running job: progress, failure, release, completion.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::ElementsAre;

using JobLifecycleTest = JobStoreFixture;

TEST_F(JobLifecycleTest, AllOfAJobsLifeIsInItsEvents) {
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  ASSERT_TRUE(jobs_->ReportProgress(id, fence, R"({"epoch":1})").ok());
  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(jobs_->ReportProgress(id, fence, R"({"epoch":2})").ok());
  ASSERT_TRUE(Complete(id, fence, 4).ok());
  const std::vector<JobEvent> events = Events(id);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[1].state, JobState::kRunning);
  EXPECT_EQ(events[2].progress_json, R"({"epoch":1})");
  EXPECT_EQ(events[3].progress_json, R"({"epoch":2})");
  EXPECT_EQ(events[3].time, clock_.Now());
  EXPECT_EQ(events[4].state, JobState::kSucceeded);
  EXPECT_EQ(events[4].version, 4);
  EXPECT_EQ(jobs_->Events("default", id, 4, 1)->at(0).sequence, 4);
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kSucceeded);
  EXPECT_EQ(job.version, 4);
  EXPECT_EQ(job.result_json, R"({"accuracy":1})");
  EXPECT_EQ(job.progress_json, R"({"epoch":2})");
  EXPECT_EQ(job.end_time, clock_.Now());
  EXPECT_EQ(job.owner, "");
  EXPECT_THAT(Outcomes(id), ElementsAre("succeeded"));
}

TEST_F(JobLifecycleTest, ProgressEventsAreBoundedAndStateEventsAreNot) {
  Open({.max_progress_events = 5});
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(jobs_->ReportProgress(id, fence, std::to_string(i)).ok());
  }
  EXPECT_EQ(Events(id).size(), 5u);
  EXPECT_EQ(Get(id).progress_json, "19");
  ASSERT_TRUE(Complete(id, fence, 1).ok());
  EXPECT_EQ(Events(id).back().state, JobState::kSucceeded);
}

TEST_F(JobLifecycleTest, ARetryableFailureRestsLongerEachTimeThenEnds) {
  const int64_t id = Create().id;
  const absl::Status error =
      MakeError(absl::StatusCode::kUnavailable, "OUT_OF_LUCK", "no luck");
  absl::Duration rest;
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const Job leased = Lease();
    EXPECT_EQ(leased.attempt, attempt);
    const auto failed = jobs_->Fail(id, leased.fence, error, true);
    ASSERT_TRUE(failed.ok()) << failed.status();
    EXPECT_EQ(failed->state, JobState::kQueued);
    EXPECT_EQ(failed->error_reason, "OUT_OF_LUCK");
    rest = failed->run_at - clock_.Now();
    const absl::Duration base = absl::Seconds(attempt == 1 ? 2 : 4);
    EXPECT_GE(rest, base / 2);
    EXPECT_LE(rest, base * 3 / 2);
    clock_.Advance(rest - absl::Milliseconds(2));
    EXPECT_EQ(Lease().id, 0);
    clock_.Advance(absl::Milliseconds(3));
  }
  const Job last = jobs_->Fail(id, Lease().fence, error, true).value();
  EXPECT_EQ(last.state, JobState::kFailed);
  EXPECT_EQ(last.error_reason, "OUT_OF_LUCK");
  EXPECT_EQ(last.error_message, "no luck");
  EXPECT_EQ(last.end_time, clock_.Now());
  EXPECT_THAT(Outcomes(id), ElementsAre("retried", "retried", "failed"));
}

TEST_F(JobLifecycleTest, AFailureForGoodEndsAtOnce) {
  const int64_t id = Create().id;
  const auto failed =
      jobs_->Fail(id, Lease().fence, absl::InvalidArgumentError(""), false);
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->state, JobState::kFailed);
  EXPECT_NE(failed->error_reason, "");
}

TEST_F(JobLifecycleTest, AVeryLongErrorIsCut) {
  const int64_t id = Create().id;
  const auto failed = jobs_->Fail(
      id, Lease().fence, absl::InternalError(std::string(1 << 20, 'x')), false);
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->error_message.size(), 4096u);
}

TEST_F(JobLifecycleTest, AFailureAfterACancelIsACancel) {
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  ASSERT_TRUE(jobs_->RequestCancel("default", id).ok());
  EXPECT_EQ(jobs_->Fail(id, fence, absl::InternalError("x"), true)->state,
            JobState::kCancelled);
}

TEST_F(JobLifecycleTest, AFailureAfterAPauseKeepsThePause) {
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  ASSERT_TRUE(jobs_->RequestPause("default", id).ok());
  EXPECT_EQ(jobs_->Fail(id, fence, absl::InternalError("x"), true)->state,
            JobState::kPaused);
}

TEST_F(JobLifecycleTest, AReleasedJobIsReadyAtOnceAndCostsNoAttempt) {
  const int64_t id = Create().id;
  for (int round = 0; round < 5; ++round) {
    const Job leased = Lease();
    ASSERT_EQ(leased.id, id);
    EXPECT_EQ(leased.attempt, 1);
    ASSERT_TRUE(jobs_->Release(id, leased.fence).ok());
  }
  EXPECT_EQ(Get(id).lost, 0);
  const int64_t fence = Lease().fence;
  ASSERT_TRUE(jobs_->RequestCancel("default", id).ok());
  ASSERT_TRUE(jobs_->Release(id, fence).ok());
  EXPECT_EQ(Get(id).state, JobState::kCancelled);
}

TEST_F(JobLifecycleTest, ACompletionIsUndoneWithItsTransaction) {
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  EXPECT_FALSE(db_->Write([&](store::Transaction& tx) {
                    EXPECT_TRUE(jobs_->Complete(tx, id, fence, 1, "{}").ok());
                    return absl::ResourceExhaustedError("later step failed");
                  })
                   .ok());
  EXPECT_EQ(Get(id).state, JobState::kRunning);
  EXPECT_EQ(Events(id).size(), 2u);
  EXPECT_TRUE(Complete(id, fence, 1).ok());
}

// The database itself keeps a finished job and a fence from going back, even
// when a statement is wrong.
TEST_F(JobLifecycleTest, TheDatabaseGuardsFinishedJobsAndFences) {
  const int64_t id = Create().id;
  ASSERT_TRUE(Complete(id, Lease().fence, 1).ok());
  const auto run = [&](const char* sql) {
    return ErrorReason(db_->Write([&](store::Transaction& tx) {
      return tx.Execute(sql, {id}).status();
    }));
  };
  EXPECT_EQ(run("UPDATE job SET state='queued', version=NULL, ended=NULL"
                " WHERE id=?"),
            "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("UPDATE job SET fence=fence-1 WHERE id=?"),
            "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("UPDATE job SET owner='w' WHERE id=?"), "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("UPDATE job SET state='done' WHERE id=?"),
            "DATABASE_CONSTRAINT");
}

}  // namespace
}  // namespace promptd::jobs

// A failed or cancelled job that is tried again.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::HasSubstr;

class JobRetryTest : public JobStoreFixture {
 protected:
  absl::StatusOr<Job> Retry(int64_t id, const RetryRequest& request = {},
                            const std::string& tenant = "default") {
    return store::WriteFor<Job>(db_.get(), [&](store::Transaction& tx) {
      return jobs_->Retry(tx, tenant, id, request);
    });
  }

  // A job that failed behind a checkpoint.
  int64_t Failed() {
    const int64_t id = Create().id;
    const int64_t fence = Lease().fence;
    EXPECT_TRUE(jobs_->SaveCheckpoint(id, fence, {"checkpoint"}).ok());
    const absl::Status error = MakeError(absl::StatusCode::kInvalidArgument,
                                         "NO_TEST_IMAGES", "no images");
    EXPECT_TRUE(jobs_->Fail(id, fence, error, false).ok());
    return id;
  }
};

TEST_F(JobRetryTest, ANewJobDoesTheSameFromTheLastCheckpoint) {
  const int64_t id = Failed();
  const auto again = Retry(id);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(again->id, id);
  EXPECT_EQ(again->retry_of, id);
  EXPECT_EQ(again->state, JobState::kQueued);
  EXPECT_EQ(again->spec_json, Get(id).spec_json);
  EXPECT_EQ(again->dataset_digest, "d1");
  EXPECT_EQ(again->checkpoint_digest, "checkpoint");
  EXPECT_EQ(again->attempt, 0);
  EXPECT_EQ(Get(id).state, JobState::kFailed);
  EXPECT_THAT(Events(again->id)[0].message, HasSubstr("try job 1 again"));
  const Job leased = Lease();
  EXPECT_EQ(leased.id, again->id);
  EXPECT_EQ(leased.checkpoint_digest, "checkpoint");
  EXPECT_EQ(leased.retry_of, id);
}

TEST_F(JobRetryTest, FromTheStartWhenAskedTo) {
  EXPECT_EQ(Retry(Failed(), {.from_start = true})->checkpoint_digest, "");
}

TEST_F(JobRetryTest, ACancelledJobToo) {
  const int64_t id = Create().id;
  ASSERT_TRUE(jobs_->RequestCancel("default", id).ok());
  EXPECT_EQ(Retry(id)->retry_of, id);
}

TEST_F(JobRetryTest, OnlyWhatEndedWithoutAResult) {
  const int64_t id = Create().id;
  const auto queued = Retry(id);
  EXPECT_EQ(queued.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(queued.status()), "JOB_NOT_RETRYABLE");
  EXPECT_THAT(queued.status().message(), HasSubstr("is queued"));
  ASSERT_TRUE(Complete(id, Lease().fence, 1).ok());
  EXPECT_EQ(ErrorReason(Retry(id).status()), "JOB_NOT_RETRYABLE");
  EXPECT_EQ(ErrorReason(Retry(99).status()), "JOB_NOT_FOUND");
  EXPECT_EQ(ErrorReason(Retry(id, {}, "other").status()), "JOB_NOT_FOUND");
}

TEST_F(JobRetryTest, ARepeatedRequestIsTheSameJobAndTheBoundHolds) {
  Open({.max_unfinished = 1});
  const int64_t id = Failed();
  const RetryRequest request{.request_id = "r1", .body_sha256 = "again"};
  const auto first = Retry(id, request);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Retry(id, request)->id, first->id);
  EXPECT_EQ(
      ErrorReason(
          Retry(id, {.request_id = "r1", .body_sha256 = "other"}).status()),
      "REQUEST_ID_REUSED");
  EXPECT_EQ(ErrorReason(Retry(id).status()), "TOO_MANY_JOBS");
}

}  // namespace
}  // namespace promptd::jobs

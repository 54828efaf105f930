// Pausing, resuming and retrying jobs over a real channel.
#include "absl/strings/match.h"
#include "common/error.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class JobChangesTest : public ServerFixture {
 protected:
  JobChangesTest() {
    PushPets();
    id_ = CreateJob(PetsJob()).id();
  }

  template <typename Request>
  grpc::Status Change(grpc::Status (v1::TrainingService::Stub::*method)(
                          grpc::ClientContext*, const Request&,
                          v1::TrainingJob*),
                      const Request& request) {
    Context context;
    return (training_.get()->*method)(&context, request, &job_);
  }
  grpc::Status Pause(int64_t id) {
    v1::PauseTrainingJobRequest request;
    request.set_id(id);
    return Change(&v1::TrainingService::Stub::PauseTrainingJob, request);
  }
  grpc::Status Resume(int64_t id) {
    v1::ResumeTrainingJobRequest request;
    request.set_id(id);
    return Change(&v1::TrainingService::Stub::ResumeTrainingJob, request);
  }
  grpc::Status Retry(const v1::RetryTrainingJobRequest& request) {
    return Change(&v1::TrainingService::Stub::RetryTrainingJob, request);
  }
  v1::RetryTrainingJobRequest OfJob(const std::string& request_id = "") const {
    v1::RetryTrainingJobRequest request;
    request.set_id(id_);
    request.set_request_id(request_id);
    return request;
  }
  void Cancel() {
    Context context;
    v1::CancelTrainingJobRequest request;
    request.set_id(id_);
    ASSERT_TRUE(training_->CancelTrainingJob(&context, request, &job_).ok());
  }

  int64_t id_ = 0;
  v1::TrainingJob job_;  // of the last call
};

TEST_F(JobChangesTest, AQueuedJobPausesAtOnceAndIsNotLeased) {
  ASSERT_TRUE(Pause(id_).ok());
  EXPECT_EQ(job_.state(), v1::JOB_STATE_PAUSED);
  EXPECT_TRUE(Pause(id_).ok());
  const auto none = server_->control()->Lease("w", {std::string(64, 'b')},
                                              absl::ZeroDuration());
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
  ASSERT_TRUE(Resume(id_).ok());
  EXPECT_EQ(job_.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Lease().id, id_);
}

TEST_F(JobChangesTest, ARunningJobHearsOfItAndGoesOnFromItsCheckpoint) {
  const worker::LeasedJob leased = Lease();
  ASSERT_TRUE(Pause(id_).ok());
  EXPECT_EQ(job_.state(), v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(job_.pause_requested());
  worker::Control& control = *server_->control();
  EXPECT_EQ(*control.Heartbeat(leased.id, leased.fence),
            worker::Directive::kPause);
  const std::string blob = *control.PutBlob("half way");
  ASSERT_TRUE(control.SaveCheckpoint(leased.id, leased.fence, {blob}).ok());
  ASSERT_TRUE(control.ConfirmPause(leased.id, leased.fence).ok());
  ASSERT_TRUE(Resume(id_).ok());
  EXPECT_FALSE(job_.pause_requested());
  const worker::LeasedJob again = Lease();
  EXPECT_EQ(again.id, id_);
  EXPECT_EQ(again.attempt, 1);
  EXPECT_EQ(again.checkpoint_digest, blob);
}

TEST_F(JobChangesTest, APauseCanBeTakenBackBeforeItIsHonoured) {
  const worker::LeasedJob leased = Lease();
  ASSERT_TRUE(Pause(id_).ok());
  ASSERT_TRUE(Resume(id_).ok());
  EXPECT_FALSE(job_.pause_requested());
  EXPECT_EQ(*server_->control()->Heartbeat(leased.id, leased.fence),
            worker::Directive::kContinue);
}

TEST_F(JobChangesTest, WhatHasEndedCannotPause) {
  Cancel();
  EXPECT_EQ(Decode(Pause(id_)).reason, "JOB_FINISHED");
  EXPECT_EQ(Decode(Resume(id_)).code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(Decode(Pause(99)).reason, "JOB_NOT_FOUND");
}

TEST_F(JobChangesTest, ARetryIsANewJobFromTheStoredCheckpoint) {
  const worker::LeasedJob leased = Lease();
  worker::Control& control = *server_->control();
  const std::string blob = *control.PutBlob("half way");
  ASSERT_TRUE(control.SaveCheckpoint(leased.id, leased.fence, {blob}).ok());
  ASSERT_TRUE(control
                  .Fail(leased.id, leased.fence,
                        MakeError(absl::StatusCode::kInvalidArgument,
                                  "NON_FINITE_LOSS", "diverged"))
                  .ok());
  ASSERT_TRUE(Retry(OfJob("r1")).ok());
  const int64_t again = job_.id();
  EXPECT_NE(again, id_);
  EXPECT_EQ(job_.retry_of(), id_);
  EXPECT_EQ(job_.spec().dataset(), "pets");
  ASSERT_TRUE(Retry(OfJob("r1")).ok());
  EXPECT_EQ(job_.id(), again);
  v1::RetryTrainingJobRequest other = OfJob("r1");
  other.set_from_start(true);
  EXPECT_EQ(Decode(Retry(other)).reason, "REQUEST_ID_REUSED");
  EXPECT_EQ(Lease().checkpoint_digest, blob);
  other.set_request_id("r2");
  ASSERT_TRUE(Retry(other).ok());
  EXPECT_EQ(Lease().checkpoint_digest, "");
}

TEST_F(JobChangesTest, ARetryNeedsWhatTheJobNeeded) {
  EXPECT_EQ(Decode(Retry(OfJob())).reason, "JOB_NOT_RETRYABLE");
  Cancel();
  Context context;
  v1::DeleteDatasetRequest request;
  request.set_name("pets");
  v1::DeleteDatasetResponse ignored;
  ASSERT_TRUE(datasets_->DeleteDataset(&context, request, &ignored).ok());
  const ErrorDetails refused = Decode(Retry(OfJob()));
  EXPECT_EQ(refused.code, grpc::NOT_FOUND);
  EXPECT_EQ(refused.reason, "DATASET_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(refused.message, "push it again"));
}

}  // namespace
}  // namespace promptd::server

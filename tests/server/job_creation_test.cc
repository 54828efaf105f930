// Priorities, equal jobs and estimates of jobs over a real channel.
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class JobCreationTest : public ServerFixture {
 protected:
  JobCreationTest() { PushPets(); }

  grpc::Status Create(const v1::CreateTrainingJobRequest& request) {
    Context context;
    job_.Clear();
    return training_->CreateTrainingJob(&context, request, &job_);
  }
  v1::CreateTrainingJobRequest Thrifty() const {
    v1::CreateTrainingJobRequest request = PetsJob();
    request.set_fresh(false);
    return request;
  }

  v1::TrainingJob job_;  // of the last call
};

TEST_F(JobCreationTest, AnEqualFinishedJobIsTheAnswer) {
  ASSERT_TRUE(Create(Thrifty()).ok());
  const int64_t first = job_.id();
  EXPECT_FALSE(job_.deduplicated());
  Publish(Lease());
  ASSERT_TRUE(Create(Thrifty()).ok());
  EXPECT_EQ(job_.id(), first);
  EXPECT_TRUE(job_.deduplicated());
  EXPECT_EQ(job_.version(), 1);
  EXPECT_EQ(job_.result().accuracy(), 1.0);
  ASSERT_TRUE(Create(PetsJob()).ok());  // fresh
  EXPECT_NE(job_.id(), first);
  EXPECT_FALSE(job_.deduplicated());
}

TEST_F(JobCreationTest, AnythingElseIsAnotherJob) {
  ASSERT_TRUE(Create(Thrifty()).ok());
  Publish(Lease());
  v1::CreateTrainingJobRequest other = Thrifty();
  other.mutable_spec()->set_seed(2);
  ASSERT_TRUE(Create(other).ok());
  EXPECT_EQ(job_.id(), 2);
  // A job that has not ended yet does not count.
  ASSERT_TRUE(Create(other).ok());
  EXPECT_EQ(job_.id(), 3);
  other.mutable_spec()->set_seed(1);  // the default, said aloud
  ASSERT_TRUE(Create(other).ok());
  EXPECT_EQ(job_.id(), 1);
}

TEST_F(JobCreationTest, AVersionThatWasDeletedIsNoAnswer) {
  ASSERT_TRUE(Create(Thrifty()).ok());
  Publish(Lease());
  TrainOnce();
  Context moved;
  v1::SetAliasRequest alias;
  alias.set_task("pets");
  alias.set_name("production");
  alias.set_version(2);
  v1::Alias ignored;
  ASSERT_TRUE(prompts_->SetAlias(&moved, alias, &ignored).ok());
  v1::DeleteVersionRequest request;
  request.set_task("pets");
  for (const int64_t version : {1}) {
    request.set_version(version);
    Context context;
    v1::DeleteVersionResponse reply;
    ASSERT_TRUE(prompts_->DeleteVersion(&context, request, &reply).ok());
  }
  ASSERT_TRUE(Create(Thrifty()).ok());
  EXPECT_EQ(job_.id(), 2);  // the other one that did the same
  EXPECT_TRUE(job_.deduplicated());
}

TEST_F(JobCreationTest, PrioritiesOrderTheQueue) {
  v1::CreateTrainingJobRequest request = PetsJob();
  request.set_priority(v1::JOB_PRIORITY_BATCH);
  ASSERT_TRUE(Create(request).ok());
  EXPECT_EQ(job_.priority(), v1::JOB_PRIORITY_BATCH);
  request.set_priority(v1::JOB_PRIORITY_INTERACTIVE);
  ASSERT_TRUE(Create(request).ok());
  ASSERT_TRUE(Create(PetsJob()).ok());
  EXPECT_EQ(job_.priority(), v1::JOB_PRIORITY_NORMAL);
  EXPECT_EQ(Lease().id, 2);
  EXPECT_EQ(Lease().id, 3);
  EXPECT_EQ(Lease().id, 1);
  request.set_priority(static_cast<v1::JobPriority>(9));
  const ErrorDetails refused = Decode(Create(request));
  EXPECT_EQ(refused.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(refused.reason, "INVALID_PRIORITY");
}

TEST_F(JobCreationTest, ValidationAloneMakesNothingAndEstimatesTheCost) {
  v1::CreateTrainingJobRequest request = PetsJob();
  request.set_validate_only(true);
  ASSERT_TRUE(Create(request).ok());
  EXPECT_EQ(job_.id(), 0);
  EXPECT_EQ(job_.spec().epochs(), 100);
  // 2 x 4 training images and 2 to score; one batch an epoch.
  EXPECT_EQ(job_.estimate().images(), 10);
  EXPECT_EQ(job_.estimate().steps(), 100);
  EXPECT_FALSE(job_.estimate().has_duration());
  Context jobs_context;
  v1::ListTrainingJobsResponse jobs;
  ASSERT_TRUE(training_->ListTrainingJobs(&jobs_context, {}, &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 0);
  Context tasks_context;
  v1::ListTasksResponse tasks;
  ASSERT_TRUE(prompts_->ListTasks(&tasks_context, {}, &tasks).ok());
  EXPECT_EQ(tasks.tasks_size(), 0);
  request.mutable_spec()->set_shots(100);
  EXPECT_EQ(Decode(Create(request)).reason, "INVALID_SPEC");
}

TEST_F(JobCreationTest, AFinishedJobTellsHowLongTheNextOneTakes) {
  ASSERT_TRUE(Create(PetsJob()).ok());
  const worker::LeasedJob leased = Lease();
  for (const int64_t step : {0, 50, 100}) {
    worker::Progress progress;
    progress.phase = "train";
    progress.step = step;
    progress.steps = 100;
    ASSERT_TRUE(server_->control()
                    ->ReportProgress(leased.id, leased.fence, progress)
                    .ok());
  }
  Publish(leased);
  v1::CreateTrainingJobRequest request = PetsJob();
  request.set_validate_only(true);
  ASSERT_TRUE(Create(request).ok());
  ASSERT_TRUE(job_.estimate().has_duration());
  EXPECT_LT(job_.estimate().duration().seconds(), 60);
  request.mutable_spec()->set_method("text_bias");
  ASSERT_TRUE(Create(request).ok());
  EXPECT_FALSE(job_.estimate().has_duration());
}

}  // namespace
}  // namespace promptd::server

// Evaluations through the real server; the test plays the worker.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class EvaluationServiceTest : public ServerFixture {
 protected:
  v1::CreateEvaluationRequest Request(const std::string& dataset) const {
    v1::CreateEvaluationRequest request;
    request.mutable_spec()->mutable_version()->set_task("pets");
    request.mutable_spec()->set_dataset(dataset);
    return request;
  }

  grpc::Status Create(const v1::CreateEvaluationRequest& request,
                      v1::TrainingJob* job) {
    Context context;
    return prompts_->CreateEvaluation(&context, request, job);
  }

  v1::TrainingJob Created(const v1::CreateEvaluationRequest& request) {
    v1::TrainingJob job;
    const grpc::Status status = Create(request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }

  ErrorDetails Refused(const v1::CreateEvaluationRequest& request) {
    v1::TrainingJob job;
    const grpc::Status status = Create(request, &job);
    EXPECT_FALSE(status.ok());
    return Decode(status);
  }

  static worker::Evaluation Result() {
    worker::Evaluation result;
    result.split = "test";
    result.images = 3;
    result.accuracy = 2.0 / 3;
    result.zero_shot_ece = 0.25;
    result.classes = {{"cat", 2, 0.5, 0}, {"dog", 1, 1, 0}};
    result.confusion = {{0, 0, 1}, {0, 1, 1}, {1, 1, 1}};
    return result;
  }
};

TEST_F(EvaluationServiceTest, AJobScoresAVersionAndItsResultStays) {
  PushPets();
  TrainOnce();
  PushDataset("sketches", {"cat", "dog"},
              {{0, v1::SPLIT_TEST, 2}, {1, v1::SPLIT_TEST, 1}});
  v1::TrainingJob job = Created(Request("sketches"));
  EXPECT_EQ(job.kind(), v1::JOB_KIND_EVALUATE);
  EXPECT_FALSE(job.has_spec());
  EXPECT_EQ(job.evaluation_spec().version().version(), 1);
  EXPECT_EQ(job.evaluation_spec().split(), "test");
  EXPECT_EQ(job.evaluation_spec().encoder(), "small");
  EXPECT_EQ(job.evaluation_spec().templates_size(), 7);

  const worker::LeasedJob leased = Lease();
  ASSERT_TRUE(leased.evaluation.has_value());
  EXPECT_EQ(leased.evaluation->class_rows, (std::vector<int64_t>{0, 1}));
  EXPECT_NE(leased.evaluation->features_digest, "");
  ASSERT_TRUE(server_->control()
                  ->StoreEvaluation(leased.id, leased.fence, Result())
                  .ok());

  Context context;
  v1::GetEvaluationRequest get;
  get.set_id(job.id());
  v1::StoredEvaluation stored;
  ASSERT_TRUE(prompts_->GetEvaluation(&context, get, &stored).ok());
  EXPECT_EQ(stored.dataset(), "sketches");
  EXPECT_EQ(stored.version(), 1);
  EXPECT_EQ(stored.result().images(), 3);
  EXPECT_EQ(stored.result().zero_shot_ece(), 0.25);
  ASSERT_EQ(stored.result().confusion_size(), 3);
  EXPECT_EQ(stored.result().confusion(1).answer(), 1);

  Context job_context;
  v1::GetTrainingJobRequest job_request;
  job_request.set_id(job.id());
  ASSERT_TRUE(training_->GetTrainingJob(&job_context, job_request, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.version(), 1);
  EXPECT_EQ(job.result().images(), 3);
}

TEST_F(EvaluationServiceTest, ListsHaveTheNumbersWithoutTheTables) {
  PushPets();
  TrainOnce();
  Created(Request("pets"));
  const worker::LeasedJob leased = Lease();
  ASSERT_TRUE(server_->control()
                  ->StoreEvaluation(leased.id, leased.fence, Result())
                  .ok());
  Context context;
  v1::ListEvaluationsRequest request;
  request.set_task("pets");
  request.set_version(1);
  v1::ListEvaluationsResponse reply;
  ASSERT_TRUE(prompts_->ListEvaluations(&context, request, &reply).ok());
  ASSERT_EQ(reply.evaluations_size(), 2);  // and the training job's own
  EXPECT_EQ(reply.evaluations(0).id(), leased.id);
  EXPECT_EQ(reply.evaluations(0).result().images(), 3);
  EXPECT_EQ(reply.evaluations(0).result().confusion_size(), 0);
  EXPECT_EQ(reply.evaluations(0).result().classes_size(), 0);

  Context jobs_context;
  v1::ListTrainingJobsResponse jobs;
  ASSERT_TRUE(training_->ListTrainingJobs(&jobs_context, {}, &jobs).ok());
  ASSERT_EQ(jobs.jobs_size(), 2);
  EXPECT_EQ(jobs.jobs(0).result().confusion_size(), 0);
}

TEST_F(EvaluationServiceTest, AStaleFenceStoresNothing) {
  PushPets();
  TrainOnce();
  const v1::TrainingJob job = Created(Request("pets"));
  const worker::LeasedJob leased = Lease();
  EXPECT_EQ(server_->control()
                ->StoreEvaluation(leased.id, leased.fence + 1, Result())
                .code(),
            absl::StatusCode::kAborted);
  Context context;
  v1::GetEvaluationRequest get;
  get.set_id(job.id());
  v1::StoredEvaluation stored;
  EXPECT_EQ(Decode(prompts_->GetEvaluation(&context, get, &stored)).reason,
            "EVALUATION_NOT_FOUND");
}

TEST_F(EvaluationServiceTest, SomeOfTheClassesInAnyOrderCompeteAlone) {
  PushPets();
  TrainOnce();
  PushDataset("dogs", {"Dog"}, {{0, v1::SPLIT_VAL, 2}});
  EXPECT_EQ(Created(Request("dogs")).evaluation_spec().split(), "val");
  EXPECT_EQ(Lease().evaluation->class_rows, std::vector<int64_t>{1});
}

TEST_F(EvaluationServiceTest, ClassesThatTheTaskHasNotAreNamed) {
  PushPets();
  TrainOnce();
  PushDataset(
      "birds", {"cat", "owl", "tit"},
      {{0, v1::SPLIT_TEST, 1}, {1, v1::SPLIT_TEST, 1}, {2, v1::SPLIT_TEST, 1}});
  const ErrorDetails refused = Refused(Request("birds"));
  EXPECT_EQ(refused.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(refused.reason, "CLASSES_DIFFER");
  EXPECT_TRUE(absl::StrContains(refused.message, R"("owl", "tit")"))
      << refused.message;
  EXPECT_TRUE(absl::StrContains(refused.message, "--from-version pets:1"));
}

TEST_F(EvaluationServiceTest, TheVersionsOwnClassesAreTakenOfItsOwnDataset) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_task("cats");
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_BASE);
  CreateJob(request);
  const worker::LeasedJob job = Lease();
  worker::FinishedPrompt prompt = Finished(job);
  prompt.class_names = {"cat"};
  ASSERT_TRUE(server_->control()->Publish(job.id, job.fence, prompt).ok());

  v1::CreateEvaluationRequest evaluation = Request("pets");
  evaluation.mutable_spec()->mutable_version()->set_task("cats");
  EXPECT_EQ(Created(evaluation).evaluation_spec().class_subset(),
            v1::CLASS_SUBSET_BASE);
  evaluation.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_NEW);
  EXPECT_EQ(Refused(evaluation).reason, "CLASSES_DIFFER");
}

TEST_F(EvaluationServiceTest, EveryProblemIsNamed) {
  v1::CreateEvaluationRequest request;
  request.mutable_spec()->add_templates("no braces");
  const ErrorDetails all = Refused(request);
  EXPECT_EQ(all.reason, "INVALID_SPEC");
  EXPECT_NE(all.Field("spec.version.task"), "");
  EXPECT_NE(all.Field("spec.dataset"), "");
  EXPECT_NE(all.Field("spec.templates[0]"), "");

  EXPECT_EQ(Refused(Request("none")).reason, "TASK_NOT_FOUND");
  PushPets();
  TrainOnce();
  EXPECT_EQ(Refused(Request("none")).reason, "DATASET_NOT_FOUND");
  request = Request("pets");
  request.mutable_spec()->mutable_version()->set_version(9);
  EXPECT_EQ(Refused(request).reason, "VERSION_NOT_FOUND");
  request = Request("pets");
  request.mutable_spec()->set_split("val");
  EXPECT_TRUE(
      absl::StrContains(Refused(request).Field("spec.split"), "no val images"));
  request.mutable_spec()->set_split("train");
  EXPECT_NE(Refused(request).Field("spec.split"), "");
  PushDataset("plain", {"cat", "dog"},
              {{0, v1::SPLIT_TRAIN, 1}, {1, v1::SPLIT_TRAIN, 1}});
  EXPECT_NE(Refused(Request("plain")).Field("spec.dataset"), "");
}

TEST_F(EvaluationServiceTest, ARepeatedRequestMakesOneJob) {
  PushPets();
  TrainOnce();
  v1::CreateEvaluationRequest request = Request("pets");
  request.set_request_id("once");
  const int64_t id = Created(request).id();
  EXPECT_EQ(Created(request).id(), id);
  request.mutable_spec()->set_split("test");
  EXPECT_EQ(Refused(request).reason, "REQUEST_ID_REUSED");
}

TEST_F(EvaluationServiceTest, IsCancelledAndRestartedLikeAnyJob) {
  PushPets();
  TrainOnce();
  const int64_t id = Created(Request("pets")).id();
  Lease();
  Restart();
  EXPECT_EQ(Lease().id, id);
  Context context;
  v1::CancelTrainingJobRequest cancel;
  cancel.set_id(id);
  v1::TrainingJob job;
  ASSERT_TRUE(training_->CancelTrainingJob(&context, cancel, &job).ok());
  EXPECT_TRUE(job.cancel_requested());
}

}  // namespace
}  // namespace promptd::server

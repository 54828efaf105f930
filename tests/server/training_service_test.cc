#include "server/training_service.h"

#include <cstdlib>
#include <fstream>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/method_traits.h"
#include "server/spec_resolver.h"
#include "server/templates.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class TrainingServiceTest : public ServerFixture {
 protected:
  ErrorDetails Refused(const v1::CreateTrainingJobRequest& request) {
    Context context;
    v1::TrainingJob job;
    const grpc::Status status =
        training_->CreateTrainingJob(&context, request, &job);
    EXPECT_FALSE(status.ok());
    return Decode(status);
  }

  v1::TrainingJob Get(int64_t id) {
    Context context;
    v1::GetTrainingJobRequest request;
    request.set_id(id);
    v1::TrainingJob job;
    EXPECT_TRUE(training_->GetTrainingJob(&context, request, &job).ok());
    return job;
  }

  grpc::Status Cancel(int64_t id, v1::TrainingJob* job) {
    Context context;
    v1::CancelTrainingJobRequest request;
    request.set_id(id);
    return training_->CancelTrainingJob(&context, request, job);
  }
};

TEST_F(TrainingServiceTest, WritesTheResolvedDefaultsBack) {
  const v1::Dataset dataset = PushPets();
  v1::CreateTrainingJobRequest request;
  request.mutable_spec()->set_task("pets");
  request.mutable_spec()->set_dataset("pets");
  request.mutable_spec()->set_shots(2);
  const v1::TrainingJob job = CreateJob(request);
  const v1::TrainingSpec& spec = job.spec();
  EXPECT_EQ(job.id(), 1);
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_FALSE(job.done());
  EXPECT_EQ(spec.method(), "coop");
  EXPECT_EQ(spec.encoder(), "small");
  EXPECT_EQ(spec.encoder_digest(), std::string(64, 'b'));
  EXPECT_EQ(spec.dataset_digest(), dataset.digest());
  EXPECT_EQ(spec.context_tokens(), 16);
  EXPECT_EQ(spec.epochs(), 100);
  EXPECT_EQ(spec.batch_size(), 32);
  EXPECT_FLOAT_EQ(spec.learning_rate(), 0.002 * 100 / 20);
  EXPECT_EQ(spec.momentum(), 0.9);
  EXPECT_EQ(spec.weight_decay(), 5e-4);
  EXPECT_EQ(spec.warmup_epochs(), 1);
  EXPECT_EQ(spec.warmup_learning_rate(), 1e-5);
  EXPECT_EQ(spec.seed(), 1);
  EXPECT_EQ(spec.templates_size(), 7);
  EXPECT_TRUE(spec.has_views());
  EXPECT_EQ(spec.views(), 1);
  EXPECT_EQ(spec.selection(), v1::SELECTION_LAST_STEP);
}

TEST_F(TrainingServiceTest, ViewsAndSelectionReachTheWorker) {
  PushDataset("d", {"cat", "dog"},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_VAL, 2},
               {0, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  request.mutable_spec()->set_views(0);
  request.mutable_spec()->set_selection(v1::SELECTION_BEST_VALIDATION);
  const v1::TrainingJob job = CreateJob(request);
  EXPECT_EQ(job.spec().views(), 0);
  EXPECT_EQ(job.spec().selection(), v1::SELECTION_BEST_VALIDATION);
  const worker::LeasedJob leased = Lease();
  EXPECT_EQ(leased.spec.views, 0);
  EXPECT_EQ(leased.spec.selection, Selection::kBestValidation);

  worker::FinishedPrompt prompt = Finished(leased);
  prompt.evaluation.selected_epoch = 37;
  prompt.evaluation.validation_accuracy = 0.9;
  ASSERT_TRUE(
      server_->control()->Publish(leased.id, leased.fence, prompt).ok());
  const v1::Evaluation result = Get(job.id()).result();
  EXPECT_EQ(result.selected_epoch(), 37);
  EXPECT_EQ(result.validation_accuracy(), 0.9);

  request.mutable_spec()->set_views(8);
  request.mutable_spec()->set_selection(v1::SELECTION_LAST_STEP);
  EXPECT_EQ(CreateJob(request).spec().views(), 8);
  const worker::LeasedJob plain = Lease();
  Publish(plain);
  EXPECT_FALSE(Get(plain.id).result().has_selected_epoch());
}

TEST_F(TrainingServiceTest, SelectionWithoutValidationImagesIsRefused) {
  PushDataset("d", {"cat", "dog"},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_VAL, 2},
               {0, v1::SPLIT_TEST, 1},
               {1, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  request.mutable_spec()->set_selection(v1::SELECTION_BEST_VALIDATION);
  // Only the classes that take part count.
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_NEW);
  request.mutable_spec()->set_views(-1);
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.reason, "INVALID_SPEC");
  EXPECT_TRUE(absl::StrContains(error.Field("spec.selection"),
                                "push it again with a val/ folder"));
  EXPECT_EQ(error.Field("spec.views"), "is -1, must be 0 to 10000");
  EXPECT_EQ(error.fields.size(), 2u);
  request.mutable_spec()->set_views(10'001);
  EXPECT_NE(Refused(request).Field("spec.views"), "");
}

TEST_F(TrainingServiceTest, EpochsFollowThePaperByShots) {
  EXPECT_EQ(DefaultEpochs(1), 50);
  EXPECT_EQ(DefaultEpochs(2), 100);
  EXPECT_EQ(DefaultEpochs(3), 100);
  EXPECT_EQ(DefaultEpochs(4), 100);
  EXPECT_EQ(DefaultEpochs(5), 200);
  EXPECT_EQ(DefaultEpochs(16), 200);
  EXPECT_EQ(DefaultEpochs(64), 200);
}

TEST_F(TrainingServiceTest, BundledTemplatesAreThoseOfTheTasks) {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  std::ifstream file(std::string(source) + "/models/tasks/templates.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  EXPECT_EQ(BundledTemplates(), lines);
}

TEST_F(TrainingServiceTest, AllViolationsComeAtOnce) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  v1::TrainingSpec* spec = request.mutable_spec();
  spec->set_task("No Spaces!");
  spec->set_method("magic");
  spec->set_encoder("huge");
  spec->set_shots(16);
  spec->set_context_tokens(0);
  spec->set_epochs(-1);
  spec->set_batch_size(0);
  spec->set_learning_rate(-0.1);
  spec->set_momentum(1.5);
  spec->set_weight_decay(std::numeric_limits<double>::quiet_NaN());
  spec->set_warmup_epochs(1'000'000);
  spec->set_seed(-3);
  spec->add_templates("no place");
  spec->add_templates("{} and {}");
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_SPEC");
  for (const char* field :
       {"task", "method", "encoder", "shots", "epochs", "batch_size",
        "learning_rate", "momentum", "weight_decay", "warmup_epochs", "seed",
        "templates[0]", "templates[1]"}) {
    EXPECT_NE(error.Field(std::string("spec.") + field), "") << field;
  }
  EXPECT_TRUE(
      absl::StrContains(error.Field("spec.encoder"), "\"large\", \"small\""));
}

TEST_F(TrainingServiceTest, AMethodsSpecComesBackAndCanBeSentAgain) {
  PushDataset("pets", {"cat", "dog"},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_VAL, 1},
               {1, v1::SPLIT_VAL, 1},
               {0, v1::SPLIT_TEST, 1},
               {1, v1::SPLIT_TEST, 1}});
  for (const MethodTraits& method : kMethods) {
    v1::CreateTrainingJobRequest request;
    request.mutable_spec()->set_task("pets");
    request.mutable_spec()->set_dataset("pets");
    request.mutable_spec()->set_method(std::string(method.name));
    if (method.shots) request.mutable_spec()->set_shots(2);
    const v1::TrainingSpec spec = CreateJob(request).spec();
    EXPECT_EQ(spec.has_epochs(), method.steps) << method.name;
    EXPECT_EQ(spec.has_context_tokens(), method.context) << method.name;
    EXPECT_EQ(spec.has_seed(), method.shots) << method.name;
    EXPECT_EQ(spec.text_templates_size(), method.text_templates ? 1 : 0)
        << method.name;
    *request.mutable_spec() = spec;
    EXPECT_EQ(CreateJob(request).spec().SerializeAsString(),
              spec.SerializeAsString())
        << method.name;
    EXPECT_EQ(Lease().spec.method, method.name);
    EXPECT_EQ(Lease().spec.method, method.name);
  }
}

TEST_F(TrainingServiceTest, AnImageTowerHasDefaultsOfItsOwn) {
  PushPets();
  v1::CreateTrainingJobRequest request;
  request.mutable_spec()->set_task("pets");
  request.mutable_spec()->set_dataset("pets");
  request.mutable_spec()->set_shots(2);
  request.mutable_spec()->set_method("text_bias");
  const v1::TrainingSpec text = CreateJob(request).spec();
  request.mutable_spec()->set_method("image_encoder");
  const v1::TrainingSpec tower = CreateJob(request).spec();
  EXPECT_EQ(tower.epochs(), 20);
  EXPECT_NEAR(tower.learning_rate(), text.learning_rate() / 20, 1e-12);
  request.mutable_spec()->set_selection(v1::SELECTION_BEST_VALIDATION);
  request.mutable_spec()->set_epochs(0);
  const auto refused = Refused(request);
  EXPECT_TRUE(absl::StrContains(refused.Field("spec.selection"), "last_step"));
  EXPECT_NE(refused.Field("spec.epochs"), "");
}

TEST_F(TrainingServiceTest, FieldsOfOtherMethodsAreRefusedAllAtOnce) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  v1::TrainingSpec& spec = *request.mutable_spec();
  spec.Clear();
  spec.set_task("pets");
  spec.set_dataset("pets");
  spec.set_method("linear-probe");
  EXPECT_TRUE(absl::StrContains(Refused(request).Field("spec.method"),
                                "did you mean \"linear_probe\""));
  spec.set_method("zero_shot");
  spec.set_shots(2);
  spec.set_seed(1);
  spec.set_context_tokens(4);
  spec.set_context_init("a photo");
  spec.set_class_position(v1::CLASS_POSITION_FRONT);
  spec.set_class_specific(true);
  spec.set_epochs(0);
  spec.set_batch_size(1);
  spec.set_learning_rate(1);
  spec.set_views(2);
  spec.set_selection(v1::SELECTION_LAST_STEP);
  spec.set_inverse_regularization(1);
  spec.add_text_templates("no place");
  spec.add_class_names("cow");
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.reason, "INVALID_SPEC");
  for (const char* field :
       {"shots", "seed", "context_tokens", "context_init", "class_position",
        "class_specific", "epochs", "batch_size", "learning_rate", "views",
        "selection", "inverse_regularization", "text_templates[0]",
        "class_names"}) {
    EXPECT_NE(error.Field(absl::StrCat("spec.", field)), "") << field;
  }
  EXPECT_TRUE(absl::StrContains(error.Field("spec.epochs"), "zero_shot"));
}

TEST_F(TrainingServiceTest, AProbeNeedsSomethingToChooseItsCBy) {
  PushPets();  // without validation images
  v1::CreateTrainingJobRequest request;
  request.mutable_spec()->set_task("pets");
  request.mutable_spec()->set_dataset("pets");
  request.mutable_spec()->set_method("linear_probe");
  request.mutable_spec()->set_shots(2);
  EXPECT_TRUE(absl::StrContains(
      Refused(request).Field("spec.inverse_regularization"), "val/"));
  request.mutable_spec()->set_inverse_regularization(-1);
  EXPECT_NE(Refused(request).Field("spec.inverse_regularization"), "");
  request.mutable_spec()->set_inverse_regularization(0.5);
  EXPECT_EQ(CreateJob(request).spec().inverse_regularization(), 0.5);
}

TEST_F(TrainingServiceTest, AVersionWithoutAContextIsNoStartAndNotRead) {
  PushPets();
  v1::CreateTrainingJobRequest request;
  request.mutable_spec()->set_task("pets");
  request.mutable_spec()->set_dataset("pets");
  request.mutable_spec()->set_method("zero_shot");
  CreateJob(request);
  EXPECT_EQ(Publish(Lease()), 1);
  request = PetsJob();
  request.mutable_spec()->mutable_initial_version()->set_task("pets");
  request.mutable_spec()->mutable_initial_version()->set_version(1);
  EXPECT_TRUE(absl::StrContains(Refused(request).Field("spec.initial_version"),
                                "of method zero_shot"));
  v1::InterpretVersionRequest read;
  read.set_task("pets");
  read.set_version(1);
  v1::InterpretVersionResponse words;
  Context context;
  const ErrorDetails error =
      Decode(prompts_->InterpretVersion(&context, read, &words));
  EXPECT_EQ(error.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(error.reason, "NO_CONTEXT");
}

TEST_F(TrainingServiceTest, ShortClassesAreNamedWithTheirCountsAndTheWayOut) {
  PushDataset("d", {"bmw", "fiat", "opel"},
              {{0, v1::SPLIT_TRAIN, 1},
               {1, v1::SPLIT_TRAIN, 3},
               {2, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  const ErrorDetails error = Refused(request);
  const std::string field = error.Field("spec.shots");
  EXPECT_TRUE(absl::StrContains(field, "2 of 3 classes")) << field;
  EXPECT_TRUE(absl::StrContains(field, "\"bmw\" 1")) << field;
  EXPECT_TRUE(absl::StrContains(field, "\"fiat\" 3")) << field;
  EXPECT_TRUE(absl::StrContains(field, "at most 1 shots")) << field;
  EXPECT_EQ(error.fields.size(), 1u);
}

TEST_F(TrainingServiceTest, ADatasetWithNothingToMeasureOnIsRefused) {
  PushDataset("d", {"a"}, {{0, v1::SPLIT_TRAIN, 4}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  EXPECT_NE(Refused(request).Field("spec.dataset"), "");
}

TEST_F(TrainingServiceTest, ClassNamesOverTheContextAreNamedWithCounts) {
  std::string name = "w";
  for (int i = 1; i < 60; ++i) name += " w";
  PushDataset("d", {"short", name},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  const ErrorDetails error = Refused(request);
  const std::string field = error.Field("spec.dataset.class_names[1]");
  EXPECT_TRUE(absl::StrContains(field, "needs 79 tokens")) << field;
  EXPECT_TRUE(absl::StrContains(field, "at most 77")) << field;
  EXPECT_EQ(error.fields.size(), 1u);
  // Fewer context tokens make room.
  request.mutable_spec()->set_context_tokens(4);
  EXPECT_EQ(CreateJob(request).spec().context_tokens(), 4);
}

TEST_F(TrainingServiceTest, InitialWordsGiveTheContextItsLength) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_context_init("a photo of a");
  EXPECT_EQ(CreateJob(request).spec().context_tokens(), 4);
  request.mutable_spec()->set_context_tokens(8);
  EXPECT_NE(Refused(request).Field("spec.context_tokens"), "");
}

TEST_F(TrainingServiceTest, UnknownNamesAloneAreNotFound) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("cats");
  EXPECT_EQ(Refused(request).reason, "DATASET_NOT_FOUND");
  request = PetsJob();
  request.mutable_spec()->set_encoder("huge");
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.code, grpc::NOT_FOUND);
  EXPECT_EQ(error.reason, "ENCODER_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(error.message, "\"large\", \"small\""));
}

TEST_F(TrainingServiceTest, RequestIdMakesCreationIdempotentAcrossRestarts) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.set_request_id("once");
  const int64_t first = CreateJob(request).id();
  EXPECT_EQ(CreateJob(request).id(), first);
  Restart();
  EXPECT_EQ(CreateJob(request).id(), first);
  request.mutable_spec()->set_seed(2);
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.code, grpc::ALREADY_EXISTS);
  EXPECT_EQ(error.reason, "REQUEST_ID_REUSED");
  request.set_request_id(std::string(65, 'x'));
  EXPECT_NE(Refused(request).Field("request_id"), "");
}

TEST_F(TrainingServiceTest, ATaskKeepsItsClassesAndEncoder) {
  PushPets();
  CreateJob(PetsJob());
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_encoder("large");
  const ErrorDetails error = Refused(request);
  EXPECT_EQ(error.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(error.reason, "TASK_MISMATCH");
}

TEST_F(TrainingServiceTest, ARefusedJobLeavesNothingBehind) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_shots(999);
  Refused(request);
  Context context;
  v1::ListTasksResponse tasks;
  ASSERT_TRUE(prompts_->ListTasks(&context, {}, &tasks).ok());
  EXPECT_EQ(tasks.tasks_size(), 0);
  Context jobs_context;
  v1::ListTrainingJobsResponse jobs;
  ASSERT_TRUE(training_->ListTrainingJobs(&jobs_context, {}, &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 0);
}

TEST_F(TrainingServiceTest, QueuedJobIsCancelledAtOnceAndTwiceIsFine) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  v1::TrainingJob job;
  ASSERT_TRUE(Cancel(id, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(job.done());
  EXPECT_TRUE(Cancel(id, &job).ok());
  EXPECT_TRUE(absl::StrContains(
      Metrics(), "promptd_jobs_finished_total{result=\"cancelled\"} 1"));
  EXPECT_EQ(Decode(Cancel(99, &job)).reason, "JOB_NOT_FOUND");
}

TEST_F(TrainingServiceTest, RunningJobHearsOfItsCancellation) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob leased = Lease();
  v1::TrainingJob job;
  ASSERT_TRUE(Cancel(id, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(job.cancel_requested());
  EXPECT_EQ(*server_->control()->Heartbeat(leased.id, leased.fence),
            worker::Directive::kCancel);
  ASSERT_TRUE(server_->control()->ConfirmCancel(leased.id, leased.fence).ok());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(TrainingServiceTest, FinishedJobShowsItsResultAndCannotBeCancelled) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob leased = Lease();
  worker::Progress progress;
  progress.phase = "train";
  progress.epoch = 3;
  progress.loss = 0.5;
  progress.eta = absl::Seconds(12);
  ASSERT_TRUE(server_->control()
                  ->ReportProgress(leased.id, leased.fence, progress)
                  .ok());
  EXPECT_EQ(Get(id).progress().epoch(), 3);
  EXPECT_EQ(Get(id).progress().eta().seconds(), 12);
  Publish(leased);
  const v1::TrainingJob job = Get(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.version(), 1);
  EXPECT_EQ(job.result().accuracy(), 1.0);
  EXPECT_EQ(job.result().zero_shot_accuracy(), 0.5);
  v1::TrainingJob ignored;
  EXPECT_EQ(Decode(Cancel(id, &ignored)).reason, "JOB_FINISHED");
}

TEST_F(TrainingServiceTest, ListsNewestFirstInPagesAndByTask) {
  PushPets();
  for (int i = 0; i < 3; ++i) CreateJob(PetsJob());
  v1::CreateTrainingJobRequest other = PetsJob();
  other.mutable_spec()->set_task("other");
  CreateJob(other);
  v1::ListTrainingJobsRequest request;
  request.set_page_size(3);
  v1::ListTrainingJobsResponse page;
  Context first;
  ASSERT_TRUE(training_->ListTrainingJobs(&first, request, &page).ok());
  ASSERT_EQ(page.jobs_size(), 3);
  EXPECT_EQ(page.jobs(0).id(), 4);
  request.set_page_token(page.next_page_token());
  Context second;
  ASSERT_TRUE(training_->ListTrainingJobs(&second, request, &page).ok());
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).id(), 1);
  v1::ListTrainingJobsRequest by_task;
  by_task.set_task("other");
  Context third;
  ASSERT_TRUE(training_->ListTrainingJobs(&third, by_task, &page).ok());
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).spec().task(), "other");
}

}  // namespace
}  // namespace promptd::server

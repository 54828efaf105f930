#include "server/context_resolver.h"

#include "absl/strings/match.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class ContextResolverTest : public ServerFixture {
 protected:
  std::string Violation(const v1::CreateTrainingJobRequest& request,
                        const std::string& field) {
    Context context;
    v1::TrainingJob job;
    const grpc::Status status =
        training_->CreateTrainingJob(&context, request, &job);
    EXPECT_FALSE(status.ok());
    return Decode(status).Field("spec." + field);
  }

  // For the task "pets", starting from its version `version`.
  v1::CreateTrainingJobRequest JobFrom(int64_t version) const {
    v1::CreateTrainingJobRequest request = PetsJob();
    request.mutable_spec()->mutable_initial_version()->set_task("pets");
    request.mutable_spec()->mutable_initial_version()->set_version(version);
    return request;
  }
};

TEST_F(ContextResolverTest, DefaultsArePaperCoOp) {
  PushPets();
  const v1::TrainingSpec spec = CreateJob(PetsJob()).spec();
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_END);
  EXPECT_FALSE(spec.class_specific());
  EXPECT_EQ(spec.class_subset(), v1::CLASS_SUBSET_ALL);
  EXPECT_FALSE(spec.has_initial_version());
}

TEST_F(ContextResolverTest, PlaceAndKindReachTheWorkerAndComeBack) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_class_position(v1::CLASS_POSITION_MIDDLE);
  request.mutable_spec()->set_class_specific(true);
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_MIDDLE);
  EXPECT_TRUE(spec.class_specific());
  const worker::LeasedJob job = Lease();
  EXPECT_EQ(job.spec.class_position, ClassPosition::kMiddle);
  EXPECT_TRUE(job.spec.class_specific);
}

TEST_F(ContextResolverTest, UnknownChoicesAreNamed) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_class_position(
      static_cast<v1::ClassPosition>(99));
  EXPECT_TRUE(absl::StrContains(Violation(request, "class_position"),
                                "use end, middle, front"));
  request = PetsJob();
  request.mutable_spec()->set_class_subset(static_cast<v1::ClassSubset>(-1));
  EXPECT_TRUE(absl::StrContains(Violation(request, "class_subset"),
                                "use all, base, new"));
}

TEST_F(ContextResolverTest, ASubsetMakesTheTasksClasses) {
  PushDataset("d", {"a", "b", "c"},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {2, v1::SPLIT_TRAIN, 1},
               {0, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  request.mutable_spec()->set_task("base");
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_BASE);
  // Class c has too few images, but takes no part.
  CreateJob(request);
  v1::GetTaskRequest get;
  get.set_name("base");
  Context context;
  v1::Task task;
  ASSERT_TRUE(prompts_->GetTask(&context, get, &task).ok());
  EXPECT_EQ(task.class_names_size(), 2);
  EXPECT_EQ(task.class_names(1), "b");

  // The new class has neither enough images nor one to score on.
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_NEW);
  request.mutable_spec()->set_task("new");
  EXPECT_NE(Violation(request, "shots"), "");
  EXPECT_NE(Violation(request, "dataset"), "");
}

TEST_F(ContextResolverTest, OneClassHasNoNewOnes) {
  PushDataset("d", {"a"}, {{0, v1::SPLIT_TRAIN, 4}, {0, v1::SPLIT_TEST, 1}});
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_dataset("d");
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_NEW);
  EXPECT_TRUE(
      absl::StrContains(Violation(request, "class_subset"), "one class only"));
}

TEST_F(ContextResolverTest, AVersionGivesItsContextAndShape) {
  PushPets();
  v1::CreateTrainingJobRequest first = PetsJob();
  first.mutable_spec()->set_context_tokens(7);
  first.mutable_spec()->set_class_position(v1::CLASS_POSITION_FRONT);
  CreateJob(first);
  const worker::LeasedJob job = Lease();
  Publish(job);

  // By alias: the first publication is "production".
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->mutable_initial_version()->set_task("pets");
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.initial_version().version(), 1);
  EXPECT_EQ(spec.context_tokens(), 7);
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_FRONT);
  EXPECT_EQ(spec.initial_context_digest(), Finished(job).context_digest);

  // The place may change, the length may not.
  request = JobFrom(1);
  request.mutable_spec()->set_class_position(v1::CLASS_POSITION_END);
  EXPECT_EQ(CreateJob(request).spec().class_position(), v1::CLASS_POSITION_END);
  request.mutable_spec()->set_context_tokens(8);
  EXPECT_TRUE(
      absl::StrContains(Violation(request, "initial_version"), "has 7 tokens"));
}

TEST_F(ContextResolverTest, SaysWhyAVersionCannotBeTheStart) {
  PushPets();
  TrainOnce();
  EXPECT_NE(Violation(JobFrom(9), "initial_version"), "");
  v1::CreateTrainingJobRequest request = JobFrom(1);
  request.mutable_spec()->set_context_init("a photo of a");
  EXPECT_TRUE(
      absl::StrContains(Violation(request, "initial_version"), "two starts"));
  request = JobFrom(1);
  request.mutable_spec()->set_encoder("large");
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_version"),
                                "another encoder than \"large\""));
  request = JobFrom(1);
  request.mutable_spec()->set_class_specific(true);
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_version"),
                                "leave class_specific unset"));
}

TEST_F(ContextResolverTest, AClassSpecificStartWantsItsOwnClasses) {
  PushPets();
  v1::CreateTrainingJobRequest own = PetsJob();
  own.mutable_spec()->set_class_specific(true);
  CreateJob(own);
  Publish(Lease());
  v1::CreateTrainingJobRequest request = JobFrom(1);
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_version"),
                                "set class_specific"));
  request.mutable_spec()->set_class_specific(true);
  EXPECT_EQ(CreateJob(request).spec().initial_version().version(), 1);

  PushDataset("birds", {"owl", "tit"},
              {{0, v1::SPLIT_TRAIN, 4},
               {1, v1::SPLIT_TRAIN, 4},
               {0, v1::SPLIT_TEST, 1}});
  request.mutable_spec()->set_dataset("birds");
  request.mutable_spec()->set_task("birds");
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_version"),
                                "belongs to its own 2 classes"));
}

TEST_F(ContextResolverTest, OversizedClassSpecificContextsAreRefused) {
  ServerOptions options = DefaultOptions();
  options.limits.max_context_bytes = 1000;
  StartServer(options);
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  CreateJob(request);
  request.mutable_spec()->set_class_specific(true);
  EXPECT_NE(Violation(request, "class_specific"), "");
}

}  // namespace
}  // namespace promptd::server

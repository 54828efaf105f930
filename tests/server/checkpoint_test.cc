// Checkpoints of jobs over a real channel: listed, and started from.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/random.h"
#include "learners/checkpoint.h"
#include "tests/server/server_fixture.h"
#include "tests/testing/filled_tensor.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

using testing::Filled;
using testing::kFakeTextWidth;

constexpr int kTokens = 4;

// What a learner writes.
std::string CheckpointBytes(const std::vector<int64_t>& shape, float value,
                            std::optional<float> best = std::nullopt) {
  learners::CheckpointContent content;
  content.identity = "some training";
  content.parameter = Filled(shape, value);
  content.momentum = Filled(shape, 0);
  if (best) {
    content.best_parameter = Filled(shape, *best);
    content.best = {.validated = 1, .epoch = 1, .correct = 1};
  }
  content.epoch.random = Random(1).State();
  content.progress.steps = 10;
  return *learners::WriteCheckpoint(content);
}

class CheckpointTest : public ServerFixture {
 protected:
  CheckpointTest() { PushPets(); }

  v1::CreateTrainingJobRequest FourTokens() const {
    v1::CreateTrainingJobRequest request = PetsJob();
    request.mutable_spec()->set_context_tokens(kTokens);
    return request;
  }
  // Creates a job that runs.
  void Run(const v1::CreateTrainingJobRequest& request) {
    CreateJob(request);
    running_ = Lease();
  }
  void Save(const std::string& bytes, int epoch = 1) {
    worker::Control& control = *server_->control();
    ASSERT_TRUE(control
                    .SaveCheckpoint(running_.id, running_.fence,
                                    {*control.PutBlob(bytes), epoch, 2 * epoch})
                    .ok());
  }
  void SaveContext(float value, int epoch = 1) {
    Save(CheckpointBytes({kTokens, kFakeTextWidth}, value, std::nullopt),
         epoch);
  }
  void EndCancelled() {
    ASSERT_TRUE(
        server_->control()->ConfirmCancel(running_.id, running_.fence).ok());
  }
  grpc::Status List(int64_t id, v1::ListCheckpointsResponse* reply) {
    Context context;
    v1::ListCheckpointsRequest request;
    request.set_id(id);
    return training_->ListCheckpoints(&context, request, reply);
  }
  // Publishes the checkpoint as it is.
  v1::CreateTrainingJobRequest Publishing(int number) const {
    v1::CreateTrainingJobRequest request;
    v1::TrainingSpec& spec = *request.mutable_spec();
    spec.set_task("pets");
    spec.set_dataset("pets");
    spec.set_epochs(0);
    spec.mutable_initial_checkpoint()->set_job(running_.id);
    spec.mutable_initial_checkpoint()->set_number(number);
    return request;
  }
  ErrorDetails Refused(const v1::CreateTrainingJobRequest& request) {
    Context context;
    v1::TrainingJob job;
    return Decode(training_->CreateTrainingJob(&context, request, &job));
  }
  std::string Violation(const v1::CreateTrainingJobRequest& request,
                        const std::string& field = "initial_checkpoint") {
    const ErrorDetails refused = Refused(request);
    EXPECT_EQ(refused.reason, "INVALID_SPEC") << refused.message;
    return refused.Field("spec." + field);
  }
  // The values of a stored context, which are all the same.
  float ValueOf(const std::string& context_digest) {
    const auto bytes = server_->control()->GetBlob(context_digest);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    const auto tensor = worker::ParseTensor(*bytes, "ctx");
    EXPECT_TRUE(tensor.ok()) << tensor.status();
    return tensor.ok() ? tensor->values.at(0) : -1;
  }

  worker::LeasedJob running_;
};

TEST_F(CheckpointTest, AreListedNewestFirst) {
  Run(FourTokens());
  v1::ListCheckpointsResponse reply;
  ASSERT_TRUE(List(running_.id, &reply).ok());
  EXPECT_EQ(reply.checkpoints_size(), 0);
  SaveContext(1, 3);
  SaveContext(2, 5);
  ASSERT_TRUE(List(running_.id, &reply).ok());
  ASSERT_EQ(reply.checkpoints_size(), 2);
  const v1::Checkpoint& last = reply.checkpoints(0);
  EXPECT_EQ(last.number(), 2);
  EXPECT_EQ(last.epoch(), 5);
  EXPECT_EQ(last.step(), 10);
  EXPECT_GT(last.created().seconds(), 0);
  EXPECT_TRUE(server_->control()->GetBlob(last.digest()).ok());
  EXPECT_EQ(reply.checkpoints(1).number(), 1);
  EXPECT_EQ(Decode(List(99, &reply)).reason, "JOB_NOT_FOUND");
}

TEST_F(CheckpointTest, OneOfARunningJobBecomesAVersionAsItIs) {
  v1::CreateTrainingJobRequest training = FourTokens();
  training.mutable_spec()->set_class_position(v1::CLASS_POSITION_MIDDLE);
  Run(training);
  SaveContext(0.25f);
  SaveContext(0.5f);
  const v1::TrainingJob created = CreateJob(Publishing(1));
  const v1::TrainingSpec& spec = created.spec();
  EXPECT_EQ(spec.initial_checkpoint().job(), running_.id);
  EXPECT_EQ(spec.initial_checkpoint().number(), 1);
  EXPECT_FALSE(spec.has_initial_version());
  EXPECT_EQ(spec.context_tokens(), kTokens);
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_MIDDLE);
  EXPECT_EQ(ValueOf(spec.initial_context_digest()), 0.25f);
  const worker::LeasedJob leased = Lease();
  EXPECT_EQ(leased.spec.initial_context_digest, spec.initial_context_digest());
  EXPECT_EQ(Publish(leased), 1);
  // The version says where it came from.
  Context context;
  v1::GetVersionRequest get;
  get.set_task("pets");
  get.set_version(1);
  v1::PromptVersion version;
  ASSERT_TRUE(prompts_->GetVersion(&context, get, &version).ok());
  EXPECT_EQ(version.spec().initial_checkpoint().number(), 1);
  EXPECT_EQ(version.spec().initial_checkpoint().job(), running_.id);
}

TEST_F(CheckpointTest, NumberZeroIsTheLastOneOfACancelledJobToo) {
  Run(FourTokens());
  SaveContext(0.25f);
  SaveContext(0.5f);
  EndCancelled();
  const v1::TrainingSpec spec = CreateJob(Publishing(0)).spec();
  EXPECT_EQ(spec.initial_checkpoint().number(), 2);
  EXPECT_EQ(ValueOf(spec.initial_context_digest()), 0.5f);
}

TEST_F(CheckpointTest, TheSameOnePublishedTwiceIsOneVersion) {
  Run(FourTokens());
  SaveContext(0.25f);
  CreateJob(Publishing(1));
  EXPECT_EQ(Publish(Lease()), 1);
  const v1::TrainingJob again = CreateJob(Publishing(0));
  EXPECT_TRUE(again.deduplicated());
  EXPECT_EQ(again.version(), 1);
  // And what was resolved can be sent again.
  v1::CreateTrainingJobRequest resolved;
  *resolved.mutable_spec() = again.spec();
  EXPECT_TRUE(CreateJob(resolved).deduplicated());
}

TEST_F(CheckpointTest, TrainingMayGoOnFromOne) {
  Run(FourTokens());
  SaveContext(0.25f);
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_epochs(3);
  request.mutable_spec()->mutable_initial_checkpoint()->set_job(running_.id);
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.epochs(), 3);
  EXPECT_EQ(spec.context_tokens(), kTokens);
  EXPECT_EQ(ValueOf(spec.initial_context_digest()), 0.25f);
}

TEST_F(CheckpointTest, WhereValidationSelectsItIsTheBestContext) {
  Run(FourTokens());
  Save(CheckpointBytes({kTokens, kFakeTextWidth}, 0.25f, 0.75f));
  EXPECT_EQ(ValueOf(CreateJob(Publishing(1)).spec().initial_context_digest()),
            0.75f);
}

TEST_F(CheckpointTest, AClassSpecificContextFitsItsOwnClassesOnly) {
  v1::CreateTrainingJobRequest training = FourTokens();
  training.mutable_spec()->set_class_specific(true);
  Run(training);
  Save(CheckpointBytes({2, kTokens, kFakeTextWidth}, 0.25f));
  EXPECT_TRUE(CreateJob(Publishing(1)).spec().class_specific());
  v1::CreateTrainingJobRequest other = Publishing(1);
  other.mutable_spec()->clear_dataset();
  other.mutable_spec()->set_task("farm");
  other.mutable_spec()->add_class_names("cow");
  other.mutable_spec()->add_class_names("hen");
  EXPECT_TRUE(absl::StrContains(Violation(other), "its own 2 classes"));
}

TEST_F(CheckpointTest, WhatIsNotStoredIsNotFound) {
  Run(FourTokens());
  ErrorDetails refused = Refused(Publishing(0));
  EXPECT_EQ(refused.code, grpc::NOT_FOUND);
  EXPECT_EQ(refused.reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(refused.message, "none of it is stored"));
  for (int i = 1; i <= 7; ++i) SaveContext(static_cast<float>(i));
  refused = Refused(Publishing(2));
  EXPECT_EQ(refused.reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(refused.message, "stored are 7, 6, 5, 4, 3"))
      << refused.message;
  v1::CreateTrainingJobRequest unknown = Publishing(1);
  unknown.mutable_spec()->mutable_initial_checkpoint()->set_job(99);
  EXPECT_EQ(Refused(unknown).reason, "JOB_NOT_FOUND");
  // With other problems it is one of them.
  unknown.mutable_spec()->set_shots(3);
  EXPECT_TRUE(absl::StrContains(Violation(unknown), "no job 99"));
  Publish(running_);
  refused = Refused(Publishing(0));
  EXPECT_EQ(refused.reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(refused.message, "pets:1")) << refused.message;
}

TEST_F(CheckpointTest, OneStartIsEnough) {
  Run(FourTokens());
  SaveContext(0.25f);
  v1::CreateTrainingJobRequest words = Publishing(1);
  words.mutable_spec()->set_context_init("a photo of a");
  EXPECT_TRUE(absl::StrContains(Violation(words), "two starts"));
  v1::CreateTrainingJobRequest digest = Publishing(1);
  digest.mutable_spec()->set_initial_context_digest(std::string(64, 'a'));
  EXPECT_TRUE(absl::StrContains(Violation(digest, "initial_context_digest"),
                                "two starts"));
  v1::CreateTrainingJobRequest version = Publishing(1);
  version.mutable_spec()->mutable_initial_version()->set_task("pets");
  EXPECT_TRUE(absl::StrContains(Violation(version), "two starts"));
  v1::CreateTrainingJobRequest tokens = Publishing(1);
  tokens.mutable_spec()->set_context_tokens(7);
  EXPECT_TRUE(absl::StrContains(Violation(tokens), "has 4 tokens"));
  v1::CreateTrainingJobRequest probe = PetsJob();
  probe.mutable_spec()->set_method("linear_probe");
  probe.mutable_spec()->set_inverse_regularization(1);
  probe.mutable_spec()->mutable_initial_checkpoint()->set_job(running_.id);
  EXPECT_TRUE(absl::StrContains(Violation(probe), "learns no context"));
}

TEST_F(CheckpointTest, AMethodWithoutAContextHasNoneToGive) {
  v1::CreateTrainingJobRequest training = PetsJob();
  training.mutable_spec()->set_method("text_bias");
  Run(training);
  Save(CheckpointBytes({2, kFakeTextWidth}, 0.25f));
  EXPECT_TRUE(absl::StrContains(Violation(Publishing(1)),
                                "text_bias, which has no context to start"));
}

TEST_F(CheckpointTest, AnotherEncodersContextDoesNotFit) {
  Run(FourTokens());
  SaveContext(0.25f);
  v1::CreateTrainingJobRequest request = Publishing(1);
  request.mutable_spec()->set_task("other");
  request.mutable_spec()->set_encoder("large");
  EXPECT_TRUE(absl::StrContains(Violation(request), "another encoder"));
}

TEST_F(CheckpointTest, ADamagedOneIsSaidToBe) {
  Run(FourTokens());
  Save("not a checkpoint");
  const ErrorDetails refused = Refused(Publishing(1));
  EXPECT_EQ(refused.code, grpc::DATA_LOSS);
  EXPECT_EQ(refused.reason, "BLOB_CORRUPT");
  Save(CheckpointBytes({kTokens + 1, kFakeTextWidth}, 1));
  EXPECT_EQ(Refused(Publishing(2)).reason, "BLOB_CORRUPT");
}

TEST_F(CheckpointTest, ACancelMayWaitForOne) {
  Run(FourTokens());
  const auto cancel = [this](bool after_checkpoint) {
    Context context;
    v1::CancelTrainingJobRequest request;
    request.set_id(running_.id);
    request.set_after_checkpoint(after_checkpoint);
    v1::TrainingJob job;
    EXPECT_TRUE(training_->CancelTrainingJob(&context, request, &job).ok());
    return job;
  };
  const auto beat = [this] {
    return *server_->control()->Heartbeat(running_.id, running_.fence);
  };
  EXPECT_EQ(cancel(true).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(beat(), worker::Directive::kSaveAndCancel);
  SaveContext(0.5f, 7);
  EXPECT_TRUE(cancel(false).cancel_requested());
  EXPECT_EQ(beat(), worker::Directive::kCancel);
  EndCancelled();
  EXPECT_EQ(cancel(true).state(), v1::JOB_STATE_CANCELLED);
  Context context;
  v1::RetryTrainingJobRequest retry;
  retry.set_id(running_.id);
  v1::TrainingJob again;
  ASSERT_TRUE(training_->RetryTrainingJob(&context, retry, &again).ok());
  v1::ListCheckpointsResponse listed;
  ASSERT_TRUE(List(running_.id, &listed).ok());
  EXPECT_EQ(Lease().checkpoint_digest, listed.checkpoints(0).digest());
}

}  // namespace
}  // namespace promptd::server

// Training jobs through a whole worker, against a front end in memory.
#include <set>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

#include "common/error.h"
#include "common/method_traits.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class JobTest : public WorkerFixture {
 protected:
  // Runs the job to its publication; the context's digest.
  std::string ContextOf(int64_t job) {
    EXPECT_EQ(control_.WaitForEnd(job), "published");
    const auto prompt = control_.published(job);
    return prompt.has_value() ? prompt->context_digest : "none";
  }

  // Stops at a checkpoint of which so many come in the job's first steps.
  void ExpectSameBytesAfterAStop(const std::string& method, int checkpoint);
};

TEST_F(JobTest, PublishesAPromptThatClassifies) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const TrainingSpec spec = AddDataset(*worker);
  const int64_t job = control_.Enqueue(spec);
  ASSERT_EQ(control_.WaitForEnd(job), "published");
  const FinishedPrompt prompt = *control_.published(job);
  const auto context =
      ParseTensor(*control_.GetBlob(prompt.context_digest), "ctx");
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->shape,
            (std::vector<int64_t>{3, worker->Encoders()[0].text_width}));

  EXPECT_EQ(prompt.evaluation.split, "test");
  EXPECT_EQ(prompt.evaluation.images, 4);
  EXPECT_EQ(prompt.evaluation.templates.size(), 2u);
  EXPECT_EQ(prompt.evaluation.classes.size(), 2u);

  ClassifyCall call = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  call.heads[0].text = {prompt.features_digest, {}};
  const auto outcome = Classify(worker.get(), call);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->images[0].scores.at(0).size(), 2u);

  const std::vector<Progress> progress = control_.progress();
  ASSERT_FALSE(progress.empty());
  std::set<std::string> phases;
  double last = 0;
  for (const Progress& report : progress) {
    phases.insert(report.phase);
    EXPECT_GE(report.fraction, last);
    last = report.fraction;
  }
  EXPECT_TRUE(phases.contains("encode"));
  EXPECT_TRUE(phases.contains("train"));
  EXPECT_EQ(progress.back().epoch, spec.epochs);
}

TEST_F(JobTest, EqualSpecsGiveEqualBytesAndOtherSeedsOthers) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  const std::string first = ContextOf(control_.Enqueue(spec));
  EXPECT_EQ(ContextOf(control_.Enqueue(spec)), first);
  spec.seed = 2;
  EXPECT_NE(ContextOf(control_.Enqueue(spec)), first);
}

TEST_F(JobTest, EveryClassGetsAContextOfItsOwnWhenAskedTo) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.class_specific = true;
  spec.class_position = ClassPosition::kMiddle;
  const std::string digest = ContextOf(control_.Enqueue(spec));
  const auto context = ParseTensor(*control_.GetBlob(digest), "ctx");
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->shape,
            (std::vector<int64_t>{2, 3, worker->Encoders()[0].text_width}));
}

TEST_F(JobTest, EveryMethodPublishesAHeadThatClassifies) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  for (const MethodTraits& method : kMethods) {
    if (method.context) continue;
    TrainingSpec spec = AddDataset(*worker);
    spec.method = std::string(method.name);
    spec.text_templates = {"a photo of a {}.", "my {}."};
    spec.inverse_regularization = 1;
    if (!method.steps) spec.epochs = 0;
    const int64_t job = control_.Enqueue(spec);
    ASSERT_EQ(control_.WaitForEnd(job), "published") << method.name;
    const FinishedPrompt prompt = *control_.published(job);
    EXPECT_EQ(prompt.context_digest.empty(), !method.steps) << method.name;
    EXPECT_EQ(prompt.evaluation.images, 4) << method.name;
    ClassifyCall call = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
    call.heads[0].text = {prompt.features_digest, {}};
    const auto outcome = Classify(worker.get(), call);
    ASSERT_TRUE(outcome.ok()) << method.name << outcome.status();
    ASSERT_EQ(outcome->images[0].scores.at(0).size(), 2u);
    EXPECT_NEAR(outcome->images[0].scores[0][0].probability +
                    outcome->images[0].scores[0][1].probability,
                1, 1e-5)
        << method.name;
  }
}

TEST_F(JobTest, ASubsetOfTheClassesIsLabelledFromZero) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  for (const auto& [subset, name] : {std::pair{ClassSubset::kBase, "photo"},
                                     std::pair{ClassSubset::kNew, "drawing"}}) {
    spec.class_subset = subset;
    const int64_t job = control_.Enqueue(spec);
    ASSERT_EQ(control_.WaitForEnd(job), "published");
    const FinishedPrompt prompt = *control_.published(job);
    EXPECT_EQ(prompt.class_names, std::vector<std::string>{name});
    // One class: every image is its.
    EXPECT_EQ(prompt.evaluation.images, 2);
    EXPECT_EQ(prompt.evaluation.accuracy, 1);
  }
}

TEST_F(JobTest, StartsFromAnotherVersionsContext) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  const std::string first = ContextOf(control_.Enqueue(spec));
  // At a learning rate of zero what comes out is what went in.
  spec.learning_rate = 0;
  spec.warmup_learning_rate = 0;
  spec.initial_context_digest = first;
  EXPECT_EQ(ContextOf(control_.Enqueue(spec)), first);
  spec.context_tokens = 4;
  const int64_t job = control_.Enqueue(spec);
  EXPECT_THAT(control_.WaitForEnd(job),
              StartsWith("failed: BAD_INITIAL_CONTEXT"));
}

void JobTest::ExpectSameBytesAfterAStop(const std::string& method,
                                        int checkpoint) {
  std::string whole;
  TrainingSpec spec;
  LocalWorkerOptions options;
  {
    // Whatever the machine does meanwhile, it leaves no checkpoint to count.
    options.checkpoint_interval = absl::InfiniteDuration();
    const auto worker = StartWorker(options);
    ASSERT_NE(worker, nullptr);
    spec = AddDataset(*worker);
    spec.method = method;
    spec.text_templates = {"a photo of a {}."};
    whole = ContextOf(control_.Enqueue(spec));
  }
  // A checkpoint after every unit; one of them stops the worker.
  options.checkpoint_interval = absl::ZeroDuration();
  auto stopped = StartWorker(options);
  ASSERT_NE(stopped, nullptr);
  absl::Notification reached;
  control_.OnCheckpoint([&](int number) {
    if (number == checkpoint) reached.Notify();
  });
  const int64_t job = control_.Enqueue(spec);
  reached.WaitForNotification();
  stopped->Stop(absl::Now() + absl::Seconds(30));
  ASSERT_EQ(control_.WaitForEnd(job), "released");
  control_.OnCheckpoint(nullptr);

  const auto resumed = StartWorker();
  ASSERT_NE(resumed, nullptr);
  const size_t before = control_.progress().size();
  EXPECT_EQ(ContextOf(control_.Enqueue(spec, control_.last_checkpoint())),
            whole);
  // It went on from the checkpoint instead of starting over.
  int64_t first_step = -1;
  for (size_t i = before; i < control_.progress().size(); ++i) {
    const Progress report = control_.progress()[i];
    if (report.phase == "train" && first_step < 0) first_step = report.step;
  }
  EXPECT_GT(first_step, 3);
}

TEST_F(JobTest, AStoppedWorkerLeavesACheckpointThatEndsInTheSameBytes) {
  ExpectSameBytesAfterAStop("coop", 3);
}

TEST_F(JobTest, SoItDoesOfAnImageTower) {
  ExpectSameBytesAfterAStop("image_encoder", 12);
}

TEST_F(JobTest, VersionsWithImageTowersOfTheirOwnClassifySideBySide) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.method = "image_encoder";
  spec.text_templates = {"a photo of a {}."};
  std::vector<ClassifyCall> calls;
  for (const int64_t seed : {1, 2}) {
    spec.seed = seed;
    const int64_t job = control_.Enqueue(spec);
    ASSERT_EQ(control_.WaitForEnd(job), "published");
    ClassifyCall call = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
    call.heads[0].text = {control_.published(job)->features_digest, {}};
    calls.push_back(call);
  }
  ClassifyCall own = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  calls.push_back(own);
  for (ClassifyCall& call : calls) call.no_cache = true;
  std::vector<float> alone;
  for (const ClassifyCall& call : calls) {
    alone.push_back(
        Classify(worker.get(), call)->images[0].scores[0][0].similarity);
  }
  // Each by a tower of its own.
  EXPECT_NE(alone[0], alone[1]);
  for (int round = 0; round < 10; ++round) {
    std::vector<float> together(calls.size());
    absl::BlockingCounter answered(static_cast<int>(calls.size()));
    for (size_t i = 0; i < calls.size(); ++i) {
      worker->Classify(
          calls[i], [&, i](const absl::StatusOr<ClassifyOutcome>& outcome) {
            together[i] = outcome->images[0].scores[0][0].similarity;
            answered.DecrementCount();
          });
    }
    answered.Wait();
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_NEAR(together[i], alone[i], 1e-5);
    }
  }
}

TEST_F(JobTest, CancelAndPauseAreHonoured) {
  LocalWorkerOptions options;
  options.heartbeat_interval = absl::Milliseconds(1);
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.epochs = 10'000;
  control_.SetDirective(Directive::kCancel);
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "cancelled");
  EXPECT_EQ(control_.last_checkpoint(), "");
  control_.SetDirective(Directive::kContinue);
  control_.OnCheckpoint([&](int number) {
    if (number == 1) control_.SetDirective(Directive::kPause);
  });
  LocalWorkerOptions quick = options;
  quick.checkpoint_interval = absl::Milliseconds(1);
  const auto pausing = StartWorker(quick);
  worker->Stop(absl::Now());
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "paused");
  EXPECT_NE(control_.last_checkpoint(), "");
}

TEST_F(JobTest, ACancelBehindACheckpointSavesWhereTheJobStands) {
  LocalWorkerOptions options;
  options.heartbeat_interval = absl::Milliseconds(1);
  options.checkpoint_interval = absl::Hours(1);
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.epochs = 10'000;
  const int64_t job = control_.Enqueue(spec);
  const auto trains = [this] {
    const std::vector<Progress> progress = control_.progress();
    return !progress.empty() && progress.back().phase == "train" &&
           progress.back().step > 0;
  };
  const absl::Time until = absl::Now() + absl::Seconds(60);
  while (!trains() && absl::Now() < until) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(control_.last_checkpoint(), "");
  control_.SetDirective(Directive::kSaveAndCancel);
  EXPECT_EQ(control_.WaitForEnd(job), "cancelled");
  const SavedCheckpoint saved = control_.last_saved();
  EXPECT_GT(saved.step, 0);
  const auto bytes = control_.GetBlob(saved.blob_digest);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto context = ContextOfCheckpoint(*bytes);
  ASSERT_TRUE(context.ok()) << context.status();
  ASSERT_EQ(context->shape.size(), 2u);
  EXPECT_EQ(context->shape[0], spec.context_tokens);

  // That context is published as it is.
  control_.SetDirective(Directive::kContinue);
  const std::string stored = *SerializeTensor("ctx", *context);
  spec.epochs = spec.shots = spec.warmup_epochs = 0;
  spec.initial_context_digest = *control_.PutBlob(stored);
  EXPECT_EQ(ContextOf(control_.Enqueue(spec)), spec.initial_context_digest);
}

TEST_F(JobTest, AJobWhoseLeaseWasLostWritesNothingMore) {
  LocalWorkerOptions options;
  options.heartbeat_interval = absl::Milliseconds(1);
  options.checkpoint_interval = absl::ZeroDuration();
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.epochs = 10'000;
  absl::Notification lost;
  control_.OnCheckpoint([&](int number) {
    if (number != 2) return;
    control_.LoseLease();
    lost.Notify();
  });
  const int64_t zombie = control_.Enqueue(spec);
  lost.WaitForNotification();
  spec.epochs = 2;
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "published");
  EXPECT_FALSE(control_.published(zombie).has_value());
}

TEST_F(JobTest, WhatCannotBeTrainedFailsWithItsReason) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const TrainingSpec good = AddDataset(*worker);
  TrainingSpec spec = good;
  spec.shots = 5;
  EXPECT_THAT(control_.WaitForEnd(control_.Enqueue(spec)),
              StartsWith("failed: TOO_FEW_IMAGES"));
  spec = good;
  spec.learning_rate = 1e30;
  spec.warmup_epochs = 0;
  const std::string diverged = control_.WaitForEnd(control_.Enqueue(spec));
  EXPECT_THAT(diverged, StartsWith("failed: NON_FINITE_LOSS"));
  // The step, and the state before it, which can be read.
  EXPECT_THAT(diverged, ContainsRegex("at step [0-9]+ of 24"));
  const std::string checkpoint = control_.last_checkpoint();
  EXPECT_THAT(diverged,
              ContainsRegex("the last good checkpoint is that of step [0-9]+, "
                            "blob " +
                            checkpoint));
  EXPECT_TRUE(control_.GetBlob(checkpoint).ok());
  spec = good;
  spec.templates.push_back(std::string(300, 'x') + " {}");
  EXPECT_THAT(control_.WaitForEnd(control_.Enqueue(spec)),
              StartsWith("failed: TEXT_TOO_LONG"));
  spec = good;
  spec.method = "magic";
  EXPECT_THAT(control_.WaitForEnd(control_.Enqueue(spec)),
              HasSubstr("UNKNOWN_METHOD"));
  spec = good;
  EXPECT_THAT(
      control_.WaitForEnd(control_.Enqueue(spec, *control_.PutBlob("garbage"))),
      StartsWith("failed: BAD_CHECKPOINT"));
}

}  // namespace
}  // namespace promptd::worker

#include "learners/trainer.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learners/schedule.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() : spec_(GoldenSpec()), data_(GoldenData(CoOpGoldens())) {}

  // So many long names that a step takes several units.
  void UseManyClasses() {
    data_.class_names.clear();
    for (int i = 0; i < 40; ++i) {
      data_.class_names.push_back(absl::StrCat(i, " is a long class name"));
    }
  }

  std::unique_ptr<Trainer> Make() {
    auto trainer = Trainer::Create(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    return *std::move(trainer);
  }

  absl::Status CreateStatus() {
    return Trainer::Create(TinyEncoder(), spec_, data_).status();
  }

  // Runs to the end, saving and restoring into a new trainer every
  // `interval` units.
  std::vector<float> RunInterrupted(int interval) {
    std::unique_ptr<Trainer> trainer = Make();
    for (int unit = 1; !trainer->done(); ++unit) {
      EXPECT_TRUE(trainer->RunUnit().ok());
      if (unit % interval != 0) continue;
      const auto checkpoint = trainer->SaveCheckpoint();
      EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
      const LearnerProgress before = trainer->progress();
      trainer = Make();
      EXPECT_TRUE(trainer->Restore(*checkpoint).ok());
      EXPECT_EQ(trainer->progress().step, before.step);
      EXPECT_EQ(trainer->progress().loss, before.loss);
      EXPECT_EQ(*trainer->SaveCheckpoint(), *checkpoint);
    }
    last_progress_ = trainer->progress();
    return trainer->Context()->values;
  }

  TrainerSpec spec_;
  TrainingData data_;
  LearnerProgress last_progress_;
};

TEST_F(TrainerTest, TheSameSeedGivesTheSameBytesAndAnotherSeedOthers) {
  const auto first = Make();
  const auto second = Make();
  RunToEnd(first.get());
  RunToEnd(second.get());
  EXPECT_EQ(first->Context()->values, second->Context()->values);
  spec_.seed += 1;
  const auto other = Make();
  RunToEnd(other.get());
  EXPECT_NE(first->Context()->values, other->Context()->values);
}

TEST_F(TrainerTest, InterruptionsAnywhereLeaveTheBytesAlone) {
  spec_.epochs = 3;
  const auto whole = Make();
  RunToEnd(whole.get());
  // Two units a step; an interval of one would begin it for ever.
  for (const int interval : {2, 3, 4, 5}) {
    EXPECT_EQ(RunInterrupted(interval), whole->Context()->values)
        << "interrupted every " << interval << " units";
    EXPECT_EQ(last_progress_.loss, whole->progress().loss);
    EXPECT_EQ(last_progress_.accuracy, whole->progress().accuracy);
  }
}

TEST_F(TrainerTest, AStepIsAUnitForwardAndOneBack) {
  const auto trainer = Make();
  for (int64_t step = 0; step < 3; ++step) {
    ASSERT_TRUE(trainer->RunUnit().ok());
    EXPECT_EQ(trainer->progress().step, step);
    ASSERT_TRUE(trainer->RunUnit().ok());
    EXPECT_EQ(trainer->progress().step, step + 1);
  }
}

TEST_F(TrainerTest, InterruptionsInsideAStepRepeatIt) {
  UseManyClasses();
  spec_.epochs = 1;
  const auto whole = Make();
  int units = 0;
  while (!whole->done()) {
    ASSERT_TRUE(whole->RunUnit().ok());
    ++units;
  }
  const int64_t per_step = units / whole->progress().steps;
  ASSERT_GE(per_step, 4);  // several chunks, forward and backward
  EXPECT_EQ(RunInterrupted(static_cast<int>(per_step) + 1),
            whole->Context()->values);
  EXPECT_EQ(RunInterrupted(static_cast<int>(2 * per_step) - 1),
            whole->Context()->values);
}

TEST_F(TrainerTest, TrainsOnADeviceThatIsNotTheProcessor) {
  std::unique_ptr<Trainer> here = Make();
  RunToEnd(here.get());
  const auto encoder = TinyEncoderOnFakeDevice();
  auto there = *Trainer::Create(encoder, spec_, data_);
  RunStep(there.get());
  const std::string checkpoint = *there->SaveCheckpoint();
  there = *Trainer::Create(encoder, spec_, data_);
  ASSERT_TRUE(there->Restore(checkpoint).ok());
  RunToEnd(there.get());
  EXPECT_NEAR(there->progress().loss, here->progress().loss, 1e-4);
  EXPECT_THAT(there->Context()->values,
              Pointwise(FloatNear(1e-4f), here->Context()->values));
  EXPECT_THAT(there->TextFeatures()->values,
              Pointwise(FloatNear(1e-4f), here->TextFeatures()->values));
}

TEST_F(TrainerTest, LearnsTheTask) {
  const auto trainer = Make();
  while (trainer->progress().epoch < 1) ASSERT_TRUE(trainer->RunUnit().ok());
  const double before = trainer->progress().accuracy;
  RunToEnd(trainer.get());
  EXPECT_GT(trainer->progress().accuracy, before);
  EXPECT_EQ(trainer->progress().epoch, spec_.epochs);
}

TEST_F(TrainerTest, AnIncompleteBatchIsDroppedUnlessItIsTheOnlyOne) {
  spec_.epochs = 2;
  spec_.batch_size = 8;  // 29 images: 3 batches
  EXPECT_EQ(Make()->progress().steps, 6);
  spec_.batch_size = 29;
  EXPECT_EQ(Make()->progress().steps, 2);
  spec_.batch_size = 32;
  const auto trainer = Make();
  EXPECT_EQ(trainer->progress().steps, 2);
  RunToEnd(trainer.get());
}

TEST_F(TrainerTest, RefusesACheckpointOfAnotherJob) {
  const auto trainer = Make();
  RunStep(trainer.get());
  const std::string checkpoint = *trainer->SaveCheckpoint();
  const std::vector<std::function<void()>> changes = {
      [&] { spec_.seed += 1; }, [&] { spec_.learning_rate *= 2; },
      [&] { data_.features_digest = "other"; },
      [&] { data_.class_names[0] = "bird"; },
      [&] { data_.labels[0] = (data_.labels[0] + 1) % 4; }};
  for (const auto& change : changes) {
    const TrainerSpec spec = spec_;
    const TrainingData data = data_;
    change();
    const absl::Status status = Make()->Restore(checkpoint);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ErrorReason(status), "CHECKPOINT_MISMATCH");
    spec_ = spec;
    data_ = data;
  }
  EXPECT_TRUE(Make()->Restore(checkpoint).ok());
}

TEST_F(TrainerTest, RefusesDamagedCheckpointsAndStaysAsItWas) {
  const auto trainer = Make();
  RunStep(trainer.get());
  const std::string good = *trainer->SaveCheckpoint();
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2),
                                 good + "x", std::string(200, 'a')}) {
    EXPECT_EQ(ErrorReason(trainer->Restore(bad)), "BAD_CHECKPOINT");
  }
  EXPECT_EQ(*trainer->SaveCheckpoint(), good);
}

TEST_F(TrainerTest, ADivergingRunIsAnErrorThatNamesTheStep) {
  spec_.learning_rate = 1e30;
  spec_.warmup_epochs = 0;
  const auto trainer = Make();
  absl::Status status;
  while (status.ok() && !trainer->done()) status = trainer->RunUnit();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ErrorReason(status), "NON_FINITE_LOSS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("at step "));
}

TEST_F(TrainerTest, RefusesSpecsAndDataThatDoNotFit) {
  spec_.epochs = -1;
  spec_.momentum = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(ErrorReason(CreateStatus()), "BAD_TRAINER_SPEC");
  EXPECT_EQ(ErrorFields(CreateStatus()).size(), 2u);
  spec_ = GoldenSpec();
  data_.labels[3] = 4;
  EXPECT_EQ(ErrorReason(CreateStatus()), "BAD_TRAINING_DATA");
  data_.labels[3] = -1;
  EXPECT_EQ(ErrorReason(CreateStatus()), "BAD_TRAINING_DATA");
  data_.labels.pop_back();
  EXPECT_EQ(ErrorReason(CreateStatus()), "BAD_TRAINING_DATA");
  data_ = GoldenData(CoOpGoldens());
  spec_.method = "coup";
  EXPECT_EQ(ErrorReason(CreateStatus()), "UNKNOWN_METHOD");
}

// The closed form of CoOp and the last rate of its 50-epoch run.
TEST(ScheduleTest, FollowsCoOpsClosedForm) {
  const Schedule schedule{0.002, 50, 1, 1e-5};
  EXPECT_EQ(LearningRate(schedule, 0), 1e-5);
  EXPECT_EQ(LearningRate(schedule, 1), 0.002);
  for (int epoch = 1; epoch < 50; ++epoch) {
    EXPECT_DOUBLE_EQ(LearningRate(schedule, epoch),
                     0.001 * (1 + std::cos(M_PI * (epoch - 1) / 50)));
  }
  EXPECT_NEAR(LearningRate(schedule, 49), 7.885e-6, 1e-9);
}

// CoOp's lr(e) = 0.001 (1 + cos(pi (e - 1) / E)), bit for bit, for the
// paper's runs of every length.
TEST(ScheduleTest, EqualsTheClosedFormExactlyInEveryEpoch) {
  for (const int epochs : {10, 50, 100, 200}) {
    const Schedule schedule{0.002, epochs, 1, 1e-5};
    for (int epoch = 0; epoch < epochs; ++epoch) {
      const double expected =
          epoch == 0
              ? 1e-5
              : 0.001 * (1 + std::cos(std::numbers::pi * (epoch - 1) / epochs));
      EXPECT_EQ(LearningRate(schedule, epoch), expected)
          << epoch << " of " << epochs;
    }
  }
}

TEST(ScheduleTest, WarmUpIsAsLongAsAskedFor) {
  EXPECT_EQ(LearningRate({0.1, 10, 0, 1e-5}, 0), 0.1);
  EXPECT_EQ(LearningRate({0.1, 10, 3, 1e-5}, 2), 1e-5);
  EXPECT_EQ(LearningRate({0.1, 10, 3, 1e-5}, 3), 0.1);
}

TEST_F(TrainerTest, NoEpochsKeepTheInitialContextAndNeedNoImages) {
  const weights::Safetensors goldens = CoOpGoldens();
  TrainerSpec spec = GoldenSpec();
  TrainingData data = GoldenData(goldens);
  auto start = Trainer::Create(TinyEncoder(), spec, data);
  ASSERT_TRUE(start.ok()) << start.status();
  TrainingData bare;
  bare.class_names = data.class_names;
  bare.initial_context = (*start)->Context().value();
  for (float& value : bare.initial_context.values) value += 0.25f;
  const std::vector<float> given = bare.initial_context.values;
  spec.epochs = 0;
  const auto trainer = Trainer::Create(TinyEncoder(), spec, bare);
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  EXPECT_TRUE((*trainer)->done());
  EXPECT_EQ((*trainer)->progress().steps, 0);
  EXPECT_EQ((*trainer)->Context().value().values, given);
  EXPECT_EQ((*trainer)->TextFeatures().value().shape[0],
            static_cast<int64_t>(data.class_names.size()));
  const auto saved = (*trainer)->SaveCheckpoint();
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(ErrorReason((*trainer)->Restore(*saved)), "CHECKPOINT_MISMATCH");
}

}  // namespace
}  // namespace promptd::learners

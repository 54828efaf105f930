#include "learners/learner.h"

#include <cmath>
#include <memory>
#include <string>

#include "common/error.h"
#include "common/method_traits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learners/evaluation.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::HasSubstr;

class LearnerTest : public ::testing::TestWithParam<MethodTraits> {
 protected:
  LearnerTest() {
    spec_.method = std::string(GetParam().name);
    spec_.context_tokens = 4;
    spec_.epochs = 4;
    spec_.batch_size = 8;
    spec_.learning_rate = 0.05;
    spec_.text_templates = {"a photo of a {}.", "{}"};
    data_.validation_features = data_.features;
    data_.validation_labels = data_.labels;
    data_.encoder_folder = &TinyFolder();
  }

  std::unique_ptr<Learner> Make() const {
    auto learner = MakeLearner(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(learner.ok()) << learner.status();
    return *std::move(learner);
  }

  TrainerSpec spec_;
  TrainingData data_ = GoldenData(CoOpGoldens());
};

// What every method of the table keeps, as the worker drives them.
TEST_P(LearnerTest, EndsWithAHeadThatScoresTheClasses) {
  const auto learner = Make();
  int64_t last = 0;
  while (!learner->done()) {
    ASSERT_EQ(learner->NeedsView(), std::nullopt);
    const auto pixels = learner->NeedsPixels();
    ASSERT_EQ(pixels.has_value() && !GetParam().image_tower, false);
    if (pixels.has_value()) {
      ASSERT_TRUE(learner->SetPixels(TinyPixels(*pixels)).ok());
    }
    const absl::Status run = learner->RunUnit();
    ASSERT_TRUE(run.ok()) << run;
    ASSERT_GE(learner->progress().step, last);
    last = learner->progress().step;
    ASSERT_LE(last, learner->progress().steps);
  }
  EXPECT_EQ(last, learner->progress().steps);
  for (int64_t unit = 0; unit < learner->head_units(); ++unit) {
    ASSERT_TRUE(learner->RunHeadUnit().ok());
  }
  const auto learned = learner->Result();
  ASSERT_TRUE(learned.ok()) << learned.status();
  const ClassHead& head = learned->head;
  EXPECT_EQ(head.weights.shape, (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(head.cosine, GetParam().name != "linear_probe");
  if (head.cosine) {
    double square = 0;
    for (size_t i = 0; i < 32; ++i) {
      square += head.weights.values[i] * head.weights.values[i];
    }
    EXPECT_NEAR(square, 1, 1e-5);
  }
  const auto scores = ScoreFeatures(data_.features, data_.labels, head,
                                    TinyEncoder()->logit_scale());
  ASSERT_TRUE(scores.ok()) << scores.status();
  // A tower's own features are another test's (image_tuning_test.cc).
  if (!GetParam().shots || GetParam().image_tower) return;
  // What was learned beats chance on the images it was learned from.
  EXPECT_GT(scores->accuracy, 0.25);
  EXPECT_TRUE(std::isfinite(learner->progress().loss));
  EXPECT_EQ(learned->parameters.empty(), !GetParam().steps);
  // And again, without units of its own.
  EXPECT_EQ(learner->Result()->head.weights.values, head.weights.values);
}

TEST_P(LearnerTest, SavesAndRestores) {
  const auto learner = Make();
  RunStep(learner.get());
  const auto checkpoint = learner->SaveCheckpoint();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto resumed = Make();
  ASSERT_TRUE(resumed->Restore(*checkpoint).ok());
  RunLearner(learner.get());
  RunLearner(resumed.get());
  EXPECT_EQ(resumed->Result()->head.weights.values,
            learner->Result()->head.weights.values);
  EXPECT_EQ(ErrorReason(Make()->Restore("{}")), "BAD_CHECKPOINT");
  data_.class_names[0] = "bird";
  EXPECT_EQ(ErrorReason(Make()->Restore(*checkpoint)), "CHECKPOINT_MISMATCH");
}

TEST_P(LearnerTest, NeedsAClass) {
  data_.class_names.clear();
  const absl::Status status = MakeLearner(TinyEncoder(), spec_, data_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(status), "BAD_TRAINING_DATA");
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, LearnerTest,
                         ::testing::ValuesIn(kMethods), [](const auto& method) {
                           return std::string(method.param.name);
                         });

TEST(MakeLearnerTest, AnUnknownMethodIsToldTheKnownOnes) {
  TrainerSpec spec;
  spec.method = "coup";
  const absl::Status status =
      MakeLearner(TinyEncoder(), spec, GoldenData(CoOpGoldens())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(status), "UNKNOWN_METHOD");
  for (const std::string& name : MethodNames()) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

}  // namespace
}  // namespace promptd::learners

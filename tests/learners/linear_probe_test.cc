// The learners whose head comes from logistic regression, as jobs run them.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learners/class_prior.h"
#include "learners/cosine_loss.h"
#include "learners/evaluation.h"
#include "learners/learner.h"
#include "learners/logistic_fit.h"
#include "learners/regularization_search.h"
#include "learners/tensor_convert.h"
#include "nlohmann/json.hpp"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

class FittedHeadTest : public ::testing::Test {
 protected:
  FittedHeadTest() {
    spec_.method = "linear_probe";
    spec_.text_templates = {"a photo of a {}.", "{}"};
    UseSearch(2);
  }

  // The images of scikit-learn's search number `index`.
  void UseSearch(int index) {
    const std::string name = absl::StrCat("search", index);
    data_.class_names = {"cat", "red_apple", "kite (bird of prey)", "dog"};
    data_.features = *goldens_.Floats(name + ".images");
    data_.labels = Labels(name + ".labels");
    data_.features_digest = name;
    data_.validation_features = *goldens_.Floats(name + ".validation_images");
    data_.validation_labels = Labels(name + ".validation_labels");
    data_.validation_digest = name + ".val";
  }
  std::vector<int> Labels(const std::string& name) const {
    const FloatTensor labels = *goldens_.Floats(name);
    return {labels.values.begin(), labels.values.end()};
  }

  std::unique_ptr<Learner> Make() const {
    auto learner = MakeLearner(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(learner.ok()) << learner.status();
    return *std::move(learner);
  }
  absl::Status MakeStatus() const {
    return MakeLearner(TinyEncoder(), spec_, data_).status();
  }

  const weights::Safetensors goldens_ = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/logistic.safetensors");
  TrainerSpec spec_;
  TrainingData data_;
};

void Finish(Learner* learner) {
  while (!learner->done()) ASSERT_TRUE(learner->RunUnit().ok());
}

TEST_F(FittedHeadTest, ChoosesTheCThatScikitLearnsRunOfTheProtocolDoes) {
  const auto searches =
      nlohmann::json::parse(goldens_.metadata().at("searches"));
  for (size_t i = 0; i < searches.size(); ++i) {
    UseSearch(static_cast<int>(i));
    const auto learner = Make();
    EXPECT_EQ(learner->progress().steps, RegularizationSearch::kFits + 1);
    Finish(learner.get());
    EXPECT_EQ(learner->progress().step, RegularizationSearch::kFits + 1);
    const Learned learned = *learner->Result();
    ASSERT_TRUE(learned.chosen.has_value());
    const double expected = searches[i].at("c");
    EXPECT_NEAR(learned.chosen->inverse_regularization / expected, 1, 1e-9)
        << i;
    EXPECT_DOUBLE_EQ(learned.chosen->validation_accuracy,
                     searches[i].at("correct").get<double>() /
                         data_.validation_labels.size());
    EXPECT_EQ(learned.chosen->epoch, 0);
    // The head answers as the choice was scored.
    const auto scores = ScoreFeatures(data_.validation_features,
                                      data_.validation_labels, learned.head, 1);
    EXPECT_DOUBLE_EQ(scores->accuracy, learned.chosen->validation_accuracy);
    EXPECT_FALSE(learned.head.cosine);
    EXPECT_TRUE(learned.parameters.empty());
  }
}

TEST_F(FittedHeadTest, AFixedCIsOneFitAndNeedsNoValidationImages) {
  data_.validation_features = {};
  data_.validation_labels = {};
  spec_.inverse_regularization = 0.25;
  const auto learner = Make();
  EXPECT_EQ(learner->progress().steps, 1);
  Finish(learner.get());
  const Learned learned = *learner->Result();
  EXPECT_FALSE(learned.chosen.has_value());
  LogisticProblem problem;
  const at::Tensor like = at::empty({0});
  problem.features = ToTensor(data_.features, like).to(at::kDouble);
  problem.labels = ToLabelTensor(data_.labels, like);
  problem.classes = 4;
  problem.inverse_regularization = 0.25;
  LogisticFit fit(problem);
  while (!fit.done()) ASSERT_TRUE(fit.RunUnit().ok());
  EXPECT_EQ(learner->progress().loss, fit.mean_loss());
  const at::Tensor ours = ToTensor(learned.head.weights, like);
  EXPECT_TRUE(ours.equal(fit.weights().to(at::kFloat)));
  EXPECT_TRUE(
      ToTensor(learned.head.bias, like).equal(fit.bias().to(at::kFloat)));
}

TEST_F(FittedHeadTest, InterruptionsLeaveTheBytesAlone) {
  const auto whole = Make();
  Finish(whole.get());
  const Learned expected = *whole->Result();
  // A fit that is interrupted starts over, so that none may take longer.
  for (const int interval : {13, 20, 37}) {
    std::unique_ptr<Learner> learner = Make();
    for (int unit = 1; !learner->done(); ++unit) {
      ASSERT_LT(unit, 2000);
      ASSERT_TRUE(learner->RunUnit().ok());
      if (unit % interval != 0 || learner->done()) continue;
      const LearnerProgress before = learner->progress();
      const std::string checkpoint = *learner->SaveCheckpoint();
      learner = Make();
      ASSERT_TRUE(learner->Restore(checkpoint).ok());
      EXPECT_EQ(learner->progress().step, before.step);
      EXPECT_EQ(learner->progress().loss, before.loss);
      EXPECT_EQ(*learner->SaveCheckpoint(), checkpoint);
    }
    const Learned learned = *learner->Result();
    EXPECT_EQ(learned.head.weights.values, expected.head.weights.values);
    EXPECT_EQ(learned.head.bias.values, expected.head.bias.values);
    EXPECT_EQ(learned.chosen->inverse_regularization,
              expected.chosen->inverse_regularization);
    EXPECT_EQ(learner->progress().loss, whole->progress().loss);
  }
  // After the last fit only the chosen one runs again.
  const auto resumed = Make();
  ASSERT_TRUE(resumed->Restore(*whole->SaveCheckpoint()).ok());
  EXPECT_EQ(resumed->progress().step + 1, resumed->progress().steps);
  Finish(resumed.get());
  EXPECT_EQ(resumed->Result()->head.weights.values,
            expected.head.weights.values);
}

TEST_F(FittedHeadTest, RefusesACheckpointOfAnotherJob) {
  const auto learner = Make();
  while (learner->progress().step < 2) ASSERT_TRUE(learner->RunUnit().ok());
  const std::string checkpoint = *learner->SaveCheckpoint();
  const std::vector<std::function<void()>> changes = {
      [&] { spec_.inverse_regularization = 2; },
      [&] { data_.features_digest = "other"; },
      [&] { data_.validation_digest = "other"; },
      [&] { data_.validation_labels[0] = 3; },
      [&] { data_.class_names[0] = "bird"; },
      [&] { spec_.method = "class_prior"; },
      [&] { spec_.method = "text_bias"; }};
  for (const auto& change : changes) {
    const TrainerSpec spec = spec_;
    const TrainingData data = data_;
    change();
    const absl::Status status = Make()->Restore(checkpoint);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ErrorReason(status), "CHECKPOINT_MISMATCH") << status;
    spec_ = spec;
    data_ = data;
  }
  for (const std::string& bad :
       {std::string(), checkpoint + "x", std::string(200, 'a')}) {
    EXPECT_EQ(ErrorReason(learner->Restore(bad)), "BAD_CHECKPOINT");
  }
  EXPECT_EQ(*learner->SaveCheckpoint(), checkpoint);
}

TEST_F(FittedHeadTest, NeedsValidationImagesOrAC) {
  data_.validation_features = {};
  data_.validation_labels = {};
  const absl::Status status = MakeStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(status), "NO_VALIDATION_IMAGES");
  EXPECT_THAT(std::string(status.message()), HasSubstr("val/ folder"));
}

TEST_F(FittedHeadTest, RefusesWhatDoesNotFit) {
  for (const double c : {-1.0, std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN()}) {
    spec_.inverse_regularization = c;
    EXPECT_EQ(ErrorReason(MakeStatus()), "BAD_TRAINER_SPEC");
  }
  spec_.inverse_regularization = 1;
  data_.class_names.push_back("unseen");
  EXPECT_EQ(ErrorReason(MakeStatus()), "BAD_TRAINING_DATA");
  EXPECT_THAT(std::string(MakeStatus().message()), HasSubstr("unseen"));
  UseSearch(0);
  data_.labels[0] = 4;
  EXPECT_EQ(ErrorReason(MakeStatus()), "BAD_TRAINING_DATA");
  spec_.method = "class_prior";
  EXPECT_EQ(ErrorReason(MakeStatus()), "BAD_TRAINING_DATA");
  UseSearch(0);
  spec_.method = "linear_probe";
  spec_.inverse_regularization = 0;
  data_.validation_labels[0] = -1;
  EXPECT_EQ(ErrorReason(MakeStatus()), "BAD_TRAINING_DATA");
}

TEST_F(FittedHeadTest, RunsOnADeviceThatIsNotTheProcessor) {
  for (const std::string method : {"linear_probe", "class_prior"}) {
    spec_.method = method;
    spec_.inverse_regularization = 1;
    const auto here = Make();
    const auto there = *MakeLearner(TinyEncoderOnFakeDevice(), spec_, data_);
    Finish(here.get());
    while (!there->done()) {
      const absl::Status run = there->RunUnit();
      ASSERT_TRUE(run.ok()) << run;
    }
    EXPECT_THAT(there->Result()->head.bias.values,
                Pointwise(FloatNear(1e-4f), here->Result()->head.bias.values));
    EXPECT_THAT(
        there->Result()->head.weights.values,
        Pointwise(FloatNear(1e-4f), here->Result()->head.weights.values));
  }
}

TEST_F(FittedHeadTest, AClassPriorIsZeroShotWithTheBestBiases) {
  spec_.method = "class_prior";
  const auto learner = Make();
  Finish(learner.get());
  const Learned learned = *learner->Result();
  EXPECT_TRUE(learned.head.cosine);
  EXPECT_TRUE(learned.parameters.empty());
  spec_.method = "zero_shot";
  const FloatTensor text = Make()->Result()->head.weights;
  EXPECT_EQ(learned.head.weights.values, text.values);

  const at::Tensor like = at::empty({0});
  const double scale = TinyEncoder()->logit_scale();
  const at::Tensor labels = ToLabelTensor(data_.labels, like);
  const at::Tensor bias = ToTensor(learned.head.bias, like).to(at::kDouble);
  const at::Tensor logits =
      UnitRows(ToTensor(data_.features, like).to(at::kDouble))
          .mm(ToTensor(text, like).to(at::kDouble).t())
          .mul(scale);
  // At the optimum the expected and the true counts differ by the penalty.
  const at::Tensor counts = at::empty({4}, at::kDouble).zero_();
  for (const int label : data_.labels) counts[label].add_(1);
  const at::Tensor expected = logits.add(bias).softmax(1).sum(0);
  const at::Tensor off = expected.sub(counts).add(bias, kPriorPenalty);
  EXPECT_LE(off.abs().max().item<double>(), 1e-4);
  EXPECT_GT(bias.abs().max().item<double>(), 0.05);
  EXPECT_NEAR(bias.sum().item<double>(), 0, 1e-4);
  EXPECT_NEAR(learner->progress().loss,
              -logits.add(bias)
                   .log_softmax(1)
                   .gather(1, labels.unsqueeze(1))
                   .mean()
                   .item<double>(),
              1e-6);
}

TEST_F(FittedHeadTest, AnInterruptedClassPriorEndsTheSame) {
  spec_.method = "class_prior";
  const auto whole = Make();
  ASSERT_TRUE(whole->RunUnit().ok());
  const std::string checkpoint = *whole->SaveCheckpoint();
  Finish(whole.get());
  const auto resumed = Make();
  ASSERT_TRUE(resumed->Restore(checkpoint).ok());
  Finish(resumed.get());
  EXPECT_EQ(resumed->Result()->head.bias.values,
            whole->Result()->head.bias.values);
  EXPECT_EQ(resumed->progress().loss, whole->progress().loss);
}

}  // namespace
}  // namespace promptd::learners

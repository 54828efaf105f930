// Methods on text features against open_clip's zero-shot classifier and
// PyTorch's autograd and SGD.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learners/cosine_loss.h"
#include "learners/learner.h"
#include "learners/method.h"
#include "learners/tensor_convert.h"
#include "learners/text_ensemble.h"
#include "learners/trainer.h"
#include "nlohmann/json.hpp"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<std::string> Texts(const weights::Safetensors& goldens,
                               const char* key) {
  return nlohmann::json::parse(goldens.metadata().at(key))
      .get<std::vector<std::string>>();
}

class TextMethodsTest : public ::testing::Test {
 protected:
  TextMethodsTest() : spec_(GoldenSpec()), data_(GoldenData(CoOpGoldens())) {
    spec_.text_templates = Texts(goldens_, "templates");
  }

  std::unique_ptr<Learner> Make() const {
    auto learner = MakeLearner(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(learner.ok()) << learner.status();
    return *std::move(learner);
  }

  const weights::Safetensors goldens_ = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/text_methods.safetensors");
  TrainerSpec spec_;
  TrainingData data_;
};

TEST_F(TextMethodsTest, ZeroShotIsOpenClips) {
  spec_.method = "zero_shot";
  TrainingData names;
  names.class_names = data_.class_names;
  for (const char* const key : {"templates", "many"}) {
    spec_.text_templates = Texts(goldens_, key);
    const auto learner = *MakeLearner(TinyEncoder(), spec_, names);
    EXPECT_TRUE(learner->done());
    const int64_t units = learner->head_units();
    // 4 classes with 4 templates at once; or 70 of one class in three parts.
    EXPECT_EQ(units, key == std::string("many") ? 12 : 1);
    for (int64_t unit = 0; unit < learner->head_units(); ++unit) {
      ASSERT_TRUE(learner->RunHeadUnit().ok());
    }
    const auto learned = learner->Result();
    ASSERT_TRUE(learned.ok()) << learned.status();
    const FloatTensor expected = *goldens_.Floats(
        key == std::string("many") ? "zero_shot_many" : "zero_shot");
    EXPECT_EQ(learned->head.weights.shape, expected.shape);
    EXPECT_THAT(learned->head.weights.values,
                Pointwise(FloatNear(1e-5f), expected.values));
    EXPECT_TRUE(learned->head.cosine);
    EXPECT_TRUE(learned->head.bias.shape.empty());
    EXPECT_TRUE(learned->parameters.empty());
    EXPECT_FALSE(learned->chosen.has_value());
    // Result() alone does the same.
    const auto lazy = *MakeLearner(TinyEncoder(), spec_, names);
    EXPECT_EQ(lazy->Result()->head.weights.values,
              learned->head.weights.values);
  }
}

TEST_F(TextMethodsTest, AFeatureDoesNotDependOnTheClassesBesideIt) {
  spec_.method = "zero_shot";
  TrainingData names;
  names.class_names = data_.class_names;
  const FloatTensor few =
      (*MakeLearner(TinyEncoder(), spec_, names))->Result()->head.weights;
  for (int i = 0; i < 41; ++i) {
    names.class_names.push_back("thing_" + std::to_string(i));
  }
  const auto learner = *MakeLearner(TinyEncoder(), spec_, names);
  EXPECT_EQ(learner->head_units(), 6);  // 45 classes, 8 at once
  const FloatTensor many = learner->Result()->head.weights;
  ASSERT_EQ(many.shape[0], 45);
  EXPECT_THAT(std::vector<float>(many.values.begin(),
                                 many.values.begin() + few.values.size()),
              Pointwise(FloatNear(1e-6f), few.values));
}

struct Run {
  const char* method;
  bool class_specific;
  const char* golden;
  const char* parameter;
};

class TextRunTest : public TextMethodsTest,
                    public ::testing::WithParamInterface<Run> {
 protected:
  TextRunTest() {
    spec_.method = GetParam().method;
    spec_.class_specific = GetParam().class_specific;
  }
  FloatTensor Golden(const char* what) const {
    return *goldens_.Floats(std::string(GetParam().golden) + "." + what);
  }
};

TEST_P(TextRunTest, StartsAsZeroShot) {
  spec_.epochs = 0;
  const auto learner = Make();
  EXPECT_TRUE(learner->done());
  EXPECT_EQ(learner->head_units(), 2);  // the texts, and what they become
  for (int64_t unit = 0; unit < learner->head_units(); ++unit) {
    ASSERT_TRUE(learner->RunHeadUnit().ok());
  }
  EXPECT_THAT(
      learner->Result()->head.weights.values,
      Pointwise(FloatNear(1e-6f), goldens_.Floats("zero_shot")->values));
}

TEST_P(TextRunTest, TheWholeRunIsPyTorchs) {
  const FloatTensor losses = Golden("losses");
  const FloatTensor parameters = Golden("parameters");
  const auto learner = Make();
  const auto* const trainer = dynamic_cast<const Trainer*>(learner.get());
  ASSERT_NE(trainer, nullptr);
  const std::vector<float> start = trainer->Context()->values;
  const int64_t steps_per_epoch = learner->progress().steps / spec_.epochs;
  ASSERT_EQ(learner->progress().steps, losses.shape[0]);
  double epoch_loss = 0;
  for (int64_t step = 0; step < losses.shape[0]; ++step) {
    while (learner->progress().step == step) {
      ASSERT_TRUE(learner->RunUnit().ok());
    }
    epoch_loss += losses.values[step] / static_cast<double>(steps_per_epoch);
    if ((step + 1) % steps_per_epoch == 0) {
      EXPECT_NEAR(learner->progress().loss, epoch_loss, 1e-5) << step;
      epoch_loss = 0;
    }
    if (parameters.shape[0] == losses.shape[0]) {  // every step is there
      const size_t size = start.size();
      const auto first = parameters.values.begin() + step * size;
      ASSERT_THAT(
          trainer->Context()->values,
          Pointwise(FloatNear(1e-5f), std::vector<float>(first, first + size)))
          << step;
    }
  }
  ASSERT_TRUE(learner->done());
  EXPECT_EQ(learner->head_units(), 1);  // the texts are there
  const Learned learned = *learner->Result();
  ASSERT_TRUE(learned.parameters.contains(GetParam().parameter));
  const FloatTensor& parameter = learned.parameters.at(GetParam().parameter);
  EXPECT_EQ(parameter.shape, std::vector<int64_t>(parameters.shape.begin() + 1,
                                                  parameters.shape.end()));
  EXPECT_THAT(
      parameter.values,
      Pointwise(FloatNear(2e-5f),
                std::vector<float>(parameters.values.end() -
                                       static_cast<ptrdiff_t>(start.size()),
                                   parameters.values.end())));
  EXPECT_THAT(learned.head.weights.values,
              Pointwise(FloatNear(2e-5f), Golden("head").values));
  float moved = 0;
  for (size_t i = 0; i < start.size(); ++i) {
    moved = std::max(moved, std::abs(parameter.values[i] - start[i]));
  }
  EXPECT_GT(moved, 0.1f);
}

// The loss in double at the parameter moved both ways along a random line.
TEST_P(TextRunTest, TheGradientIsTheSlopeOfTheLoss) {
  MethodSpec method_spec;
  method_spec.class_specific = spec_.class_specific;
  method_spec.text_templates = spec_.text_templates;
  const auto method =
      *MakeMethod(spec_.method, TinyEncoder(), method_spec, data_.class_names);
  ASSERT_EQ(method->setup_units(), 1);
  ASSERT_TRUE(method->RunSetupUnit().ok());
  Random random(1);
  const at::Tensor parameter =
      method->InitialParameter(&random)->add(at::randn({32}), 0.1);
  const at::Tensor images = UnitRows(at::randn({9, 32}).to(at::kDouble));
  const at::Tensor labels = at::randint(4, {9}, at::kLong);
  const auto loss_at = [&](const at::Tensor& where) {
    method->Begin(where);  // in double: the features are what it adds to
    method->ForwardUnit(0);
    return CosineCrossEntropy(images, method->text_features().to(at::kDouble),
                              labels, 15);
  };
  const CosineLoss loss = loss_at(parameter);
  method->BackwardUnit(0, loss.d_text.to(at::kFloat));
  ASSERT_EQ(method->gradient().sizes(), parameter.sizes());
  for (int line = 0; line < 5; ++line) {
    const at::Tensor along = at::randn(parameter.sizes());
    const auto slope_over = [&](double step) {
      return (loss_at(parameter.add(along, step))
                  .loss.sub(loss_at(parameter.sub(along, step)).loss))
                 .item<double>() /
             (2 * step);
    };
    // Without the error of second order (Richardson's extrapolation).
    constexpr double kStep = 2e-3;
    const double slope = (4 * slope_over(kStep / 2) - slope_over(kStep)) / 3;
    const double expected = method->gradient().mul(along).sum().item<double>();
    EXPECT_NEAR(slope, expected, 1e-3 * std::max(1.0, std::abs(expected)));
  }
}

TEST_P(TextRunTest, InterruptionsLeaveTheBytesAlone) {
  spec_.epochs = 3;
  const auto whole = Make();
  while (!whole->done()) ASSERT_TRUE(whole->RunUnit().ok());
  for (const int interval : {3, 4, 5}) {  // the texts, there and back
    std::unique_ptr<Learner> learner = Make();
    for (int unit = 1; !learner->done(); ++unit) {
      ASSERT_TRUE(learner->RunUnit().ok());
      if (unit % interval != 0) continue;
      const std::string checkpoint = *learner->SaveCheckpoint();
      learner = Make();
      ASSERT_TRUE(learner->Restore(checkpoint).ok());
    }
    const Learned ours = *learner->Result();
    const Learned theirs = *whole->Result();
    EXPECT_EQ(ours.head.weights.values, theirs.head.weights.values);
    EXPECT_EQ(ours.parameters.at(GetParam().parameter).values,
              theirs.parameters.at(GetParam().parameter).values);
    EXPECT_EQ(learner->progress().loss, whole->progress().loss);
  }
}

TEST_P(TextRunTest, OtherTemplatesAreAnotherJob) {
  const auto learner = Make();
  while (learner->progress().step == 0) ASSERT_TRUE(learner->RunUnit().ok());
  const std::string checkpoint = *learner->SaveCheckpoint();
  EXPECT_TRUE(Make()->Restore(checkpoint).ok());
  spec_.text_templates[1] = "{}.";
  EXPECT_EQ(ErrorReason(Make()->Restore(checkpoint)), "CHECKPOINT_MISMATCH");
}

TEST_P(TextRunTest, RunsOnADeviceThatIsNotTheProcessor) {
  const auto here = Make();
  const auto there = *MakeLearner(TinyEncoderOnFakeDevice(), spec_, data_);
  while (!here->done()) ASSERT_TRUE(here->RunUnit().ok());
  while (!there->done()) {
    const absl::Status run = there->RunUnit();
    ASSERT_TRUE(run.ok()) << run;
  }
  EXPECT_THAT(there->Result()->head.weights.values,
              Pointwise(FloatNear(1e-4f), here->Result()->head.weights.values));
}

INSTANTIATE_TEST_SUITE_P(
    Methods, TextRunTest,
    ::testing::Values(Run{"text_bias", false, "text_bias.unified", "bias"},
                      Run{"text_bias", true, "text_bias.csc", "bias"},
                      Run{"text_transform", false, "text_transform",
                          "transform"}),
    [](const auto& run) {
      return std::string(run.param.method) +
             (run.param.class_specific ? "_csc" : "");
    });

TEST_F(TextMethodsTest, RefusesTemplatesThatCannotHoldAClass) {
  for (const std::string method :
       {"zero_shot", "class_prior", "text_bias", "text_transform"}) {
    spec_.method = method;
    for (const std::vector<std::string>& templates :
         {std::vector<std::string>{}, {"a photo"}, {"{}", "{} and {}"}}) {
      spec_.text_templates = templates;
      const absl::Status status =
          MakeLearner(TinyEncoder(), spec_, data_).status();
      EXPECT_EQ(ErrorReason(status), "BAD_TRAINER_SPEC") << method;
      EXPECT_THAT(std::string(status.message()), HasSubstr("text_templates"));
    }
  }
}

TEST_F(TextMethodsTest, ATextThatIsTooLongIsNamed) {
  spec_.method = "zero_shot";
  data_.class_names[2] = std::string(200, 'x');
  const absl::Status status = Make()->Result().status();
  EXPECT_EQ(ErrorReason(status), "TEXT_TOO_LONG");
  EXPECT_THAT(std::string(status.message()), HasSubstr("a photo of a xxx"));
}

TEST_F(TextMethodsTest, StartsFromAGivenBias) {
  spec_.method = "text_bias";
  spec_.epochs = 0;
  data_.initial_context = {{32}, std::vector<float>(32, 0.25f)};
  EXPECT_EQ(Make()->Result()->parameters.at("bias").values,
            data_.initial_context.values);
  data_.initial_context = {{4, 32}, std::vector<float>(128, 0.25f)};
  EXPECT_EQ(ErrorReason(MakeLearner(TinyEncoder(), spec_, data_).status()),
            "BAD_INITIAL_CONTEXT");
}

}  // namespace
}  // namespace promptd::learners

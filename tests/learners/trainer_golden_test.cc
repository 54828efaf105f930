// A whole short run against PyTorch: autograd through open_clip's 77-token
// text tower and torch.optim.SGD.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/float_tensor.h"
#include "gtest/gtest.h"
#include "learners/trainer.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

float LargestDifference(const float* a, const float* b, size_t count) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

class TrainerGoldenTest : public ::testing::Test {
 protected:
  TrainerGoldenTest() : goldens_(CoOpGoldens()) {
    auto trainer =
        Trainer::Create(TinyEncoder(), GoldenSpec(), GoldenData(goldens_));
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    trainer_ = *std::move(trainer);
  }

  weights::Safetensors goldens_;
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(TrainerGoldenTest, StartsFromTheDocumentedRandomContext) {
  const FloatTensor expected = *goldens_.Floats("initial_context");
  const FloatTensor context = *trainer_->Context();
  ASSERT_EQ(context.shape, expected.shape);
  EXPECT_LE(LargestDifference(context.values.data(), expected.values.data(),
                              expected.values.size()),
            1e-9f);
}

TEST_F(TrainerGoldenTest, EveryStepIsPyTorchs) {
  const FloatTensor contexts = *goldens_.Floats("contexts");  // [S, M, W]
  const FloatTensor losses = *goldens_.Floats("losses");
  const FloatTensor rates = *goldens_.Floats("learning_rates");
  ASSERT_EQ(trainer_->progress().steps, contexts.shape[0]);
  const size_t size =
      static_cast<size_t>(contexts.shape[1] * contexts.shape[2]);
  const int64_t steps_per_epoch = contexts.shape[0] / rates.shape[0];
  float moved = 0;
  for (int64_t step = 0; step < contexts.shape[0]; ++step) {
    while (trainer_->progress().step == step) {
      ASSERT_TRUE(trainer_->RunUnit().ok());
    }
    const FloatTensor context = *trainer_->Context();
    const float* expected = contexts.values.data() + step * size;
    ASSERT_LE(LargestDifference(context.values.data(), expected, size), 2e-5f)
        << "step " << step;
    moved = std::max(moved, LargestDifference(context.values.data(),
                                              contexts.values.data(), size));
    ASSERT_EQ(static_cast<float>(trainer_->progress().learning_rate),
              rates.values[step / steps_per_epoch]);
    if ((step + 1) % steps_per_epoch == 0) {
      double mean = 0;
      for (int64_t i = step + 1 - steps_per_epoch; i <= step; ++i) {
        mean += losses.values[i] / static_cast<double>(steps_per_epoch);
      }
      EXPECT_NEAR(trainer_->progress().loss, mean, 1e-5);
    }
  }
  EXPECT_TRUE(trainer_->done());
  // The run went somewhere: the tolerance is far below what was learned.
  EXPECT_GT(moved, 0.05f);
}

TEST_F(TrainerGoldenTest, TextFeaturesAreThoseOfTheLearnedContext) {
  RunToEnd(trainer_.get());
  const auto features = trainer_->TextFeatures();
  ASSERT_TRUE(features.ok()) << features.status();
  const FloatTensor expected = *goldens_.Floats("text_features");
  ASSERT_EQ(features->shape, expected.shape);
  EXPECT_LE(LargestDifference(features->values.data(), expected.values.data(),
                              expected.values.size()),
            1e-4f);
}

struct Kind {
  ClassPosition position;
  bool class_specific;
};

class TrainerOptionsTest : public ::testing::TestWithParam<Kind> {};

TEST_P(TrainerOptionsTest, EndsWherePyTorchDoes) {
  const auto [position, class_specific] = GetParam();
  const std::string name = absl::StrCat(ChoiceName(position),
                                        class_specific ? ".csc." : ".unified.");
  const weights::Safetensors runs = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/coop_options.safetensors");
  TrainerSpec spec = GoldenSpec();
  spec.class_position = position;
  spec.class_specific = class_specific;
  const auto trainer =
      Trainer::Create(TinyEncoder(), spec, GoldenData(CoOpGoldens()));
  ASSERT_TRUE(trainer.ok()) << trainer.status();

  const auto expect_near = [&](const FloatTensor& values, const char* what,
                               float tolerance) {
    const FloatTensor expected = *runs.Floats(name + what);
    ASSERT_EQ(values.shape, expected.shape) << what;
    EXPECT_LE(LargestDifference(values.values.data(), expected.values.data(),
                                expected.values.size()),
              tolerance)
        << what;
  };
  const FloatTensor start = *(*trainer)->Context();
  expect_near(start, "initial_context", 1e-9f);
  const FloatTensor losses = *runs.Floats(name + "losses");
  for (size_t step = 0; step < losses.values.size(); ++step) {
    while ((*trainer)->progress().step == static_cast<int64_t>(step)) {
      ASSERT_TRUE((*trainer)->RunUnit().ok());
    }
    if (step == 0) {
      EXPECT_NEAR((*trainer)->progress().loss, losses.values[0], 1e-5);
    }
  }
  ASSERT_TRUE((*trainer)->done());
  const FloatTensor end = *(*trainer)->Context();
  expect_near(end, "context", 2e-5f);
  expect_near(*(*trainer)->TextFeatures(), "text_features", 1e-4f);
  EXPECT_GT(LargestDifference(end.values.data(), start.values.data(),
                              end.values.size()),
            0.02f);
}

// The cosine of what a run changed with what another did.
double ChangeCosine(const FloatTensor& start, const FloatTensor& a,
                    const FloatTensor& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < start.values.size(); ++i) {
    const double x = double{a.values[i]} - start.values[i];
    const double y = double{b.values[i]} - start.values[i];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

TEST_P(TrainerOptionsTest, InBFloat16GoesWherePyTorchDoesInFloat32) {
  const auto [position, class_specific] = GetParam();
  const std::string name = absl::StrCat(ChoiceName(position),
                                        class_specific ? ".csc." : ".unified.");
  const weights::Safetensors runs = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/coop_options.safetensors");
  TrainerSpec spec = GoldenSpec();
  spec.class_position = position;
  spec.class_specific = class_specific;
  const auto trainer =
      Trainer::Create(TinyEncoderInBFloat16(), spec, GoldenData(CoOpGoldens()));
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  const FloatTensor start = *(*trainer)->Context();
  RunStep(trainer->get());
  const FloatTensor losses = *runs.Floats(name + "losses");
  // The towers round, so the loss is another one, but not by much.
  EXPECT_NE(static_cast<float>((*trainer)->progress().loss), losses.values[0]);
  EXPECT_NEAR((*trainer)->progress().loss, losses.values[0], 0.05);
  // The warm-up's rate of 1e-5 would be lost in a context of bfloat16.
  EXPECT_NE((*trainer)->Context()->values, start.values);
  RunToEnd(trainer->get());
  const FloatTensor end = *(*trainer)->Context();
  const double cosine =
      ChangeCosine(start, end, *runs.Floats(name + "context"));
  std::printf("cosine of the changes %.5f\n", cosine);
  EXPECT_GE(cosine, 0.99);
  const FloatTensor features = *(*trainer)->TextFeatures();
  EXPECT_LE(
      LargestDifference(features.values.data(),
                        runs.Floats(name + "text_features")->values.data(),
                        features.values.size()),
      0.05f);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TrainerOptionsTest,
                         ::testing::Values(Kind{ClassPosition::kEnd, false},
                                           Kind{ClassPosition::kMiddle, false},
                                           Kind{ClassPosition::kFront, false},
                                           Kind{ClassPosition::kEnd, true},
                                           Kind{ClassPosition::kMiddle, true},
                                           Kind{ClassPosition::kFront, true}),
                         [](const auto& kind) {
                           return absl::StrCat(
                               ChoiceName(kind.param.position),
                               kind.param.class_specific ? "_csc" : "_unified");
                         });

}  // namespace
}  // namespace promptd::learners

// Image towers that learn, against PyTorch's on open_clip's, and their way back
// into an encoder.
#include "clip/trainable_image_tower.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "clip/host_floats.h"
#include "common/error.h"
#include "tests/clip/golden.h"
#include "weights/safetensors.h"

namespace promptd::clip {
namespace {

using ::testing::HasSubstr;

at::Tensor View(const FloatTensor& values) {
  return at::from_blob(const_cast<float*>(values.values.data()), values.shape,
                       at::kFloat);
}

class TrainableImageTowerTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto folder = weights::EncoderFolder::Open(EncoderPath(GetParam()));
    ASSERT_TRUE(folder.ok()) << folder.status();
    auto encoder = Encoder::Load(*folder);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    encoder_ = *encoder;
    auto tower = TrainableImageTower::Load(*folder, "cpu");
    ASSERT_TRUE(tower.ok()) << tower.status();
    tower_ = *std::move(tower);
    goldens_ = LoadGoldens(GetParam());
  }

  FloatTensor Features() const {
    const at::NoGradGuard no_grad;
    return ToFloatTensor(tower_->Forward(View(goldens_.pixels)));
  }

  absl::StatusOr<std::shared_ptr<const Encoder>> Tuned(
      const std::map<std::string, FloatTensor>& tensors) const {
    const auto file = weights::Safetensors::FromBytes(
        *weights::WriteSafetensors(tensors), "tower");
    return encoder_->WithImageTower(*file, "a digest");
  }

  std::shared_ptr<const Encoder> encoder_;
  std::unique_ptr<TrainableImageTower> tower_;
  Goldens goldens_;
};

TEST_P(TrainableImageTowerTest, FeaturesEqualOpenClips) {
  EXPECT_LE(RelativeError(Features(), goldens_.image_features),
            ImageTolerance(encoder_->config()));
}

// Three steps of SGD: every gradient is in the losses and the last features.
TEST_P(TrainableImageTowerTest, LearnsAsInPyTorch) {
  const auto golden = weights::Safetensors::FromFile(
      absl::StrCat(EncoderPath(GetParam()), "_tuned.safetensors"));
  ASSERT_TRUE(golden.ok()) << golden.status();
  const auto number = [&](const char* key) {
    return std::stod(golden->metadata().at(key));
  };
  const FloatTensor text = *golden->Floats("text");
  const FloatTensor losses = *golden->Floats("losses");
  const at::Tensor labels =
      View(*golden->Floats("labels")).to(at::kLong).unsqueeze(1);
  const at::Tensor pixels = View(goldens_.pixels);
  std::vector<at::Tensor> momentum;
  for (const float expected : losses.values) {
    const at::Tensor features = tower_->Forward(pixels);
    const at::Tensor unit =
        features.div(features.square().sum(1, /*keepdim=*/true).sqrt());
    const at::Tensor loss = unit.mm(View(text).t())
                                .mul(encoder_->logit_scale())
                                .log_softmax(1)
                                .gather(1, labels)
                                .mean()
                                .neg();
    EXPECT_NEAR(loss.item<float>(), expected, 1e-4 * expected);
    loss.backward();
    const at::NoGradGuard no_grad;
    const std::vector<at::Tensor>& parameters = tower_->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      ASSERT_TRUE(parameters[i].grad().defined());
      const at::Tensor gradient =
          parameters[i].grad().add(parameters[i], number("decay"));
      if (momentum.size() == i) momentum.push_back(gradient.mul(0));
      momentum[i] = momentum[i].mul(number("momentum")).add(gradient);
      parameters[i].detach().sub_(momentum[i], number("rate"));
      parameters[i].mutable_grad() = at::Tensor();
    }
  }
  const FloatTensor expected = *golden->Floats("features");
  EXPECT_LE(RelativeError(Features(), expected), 2e-4);
  // And the steps did change something.
  EXPECT_GT(RelativeError(goldens_.image_features, expected), 0.01);
}

TEST_P(TrainableImageTowerTest, BecomesTheTowerOfAnEncoder) {
  {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& parameter : tower_->parameters()) {
      parameter.detach().mul_(1.01);
    }
  }
  const auto tuned = Tuned(tower_->Tensors());
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  const auto features = (*tuned)->EncodeImages(goldens_.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_LE(RelativeError(*features, Features()),
            ImageTolerance(encoder_->config()));
  EXPECT_GT(RelativeError(*features, goldens_.image_features), 0.01);
  // The rest is the encoder's, but for the name of the whole.
  EXPECT_EQ((*tuned)->text_tower(), encoder_->text_tower());
  EXPECT_EQ(&(*tuned)->tokenizer(), &encoder_->tokenizer());
  EXPECT_EQ((*tuned)->logit_scale(), encoder_->logit_scale());
  EXPECT_EQ((*tuned)->parameters(), encoder_->parameters());
  EXPECT_EQ((*tuned)->digest().size(), encoder_->digest().size());
  EXPECT_NE((*tuned)->digest(), encoder_->digest());
}

TEST_P(TrainableImageTowerTest, ATowerOfAnotherArchitectureIsRefused) {
  std::map<std::string, FloatTensor> tensors = tower_->Tensors();
  tensors["visual.more"] = {{1}, {0}};
  FloatTensor& kernel = tensors.at("visual.conv1.weight");
  kernel.shape = {static_cast<int64_t>(kernel.values.size())};
  const absl::Status status = Tuned(tensors).status();
  EXPECT_EQ(ErrorReason(status), "BAD_ENCODER_WEIGHTS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("visual.conv1.weight"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("visual.more"));
}

INSTANTIATE_TEST_SUITE_P(Towers, TrainableImageTowerTest,
                         ::testing::Values("tiny", "tiny_vit"));

}  // namespace
}  // namespace promptd::clip

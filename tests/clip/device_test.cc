// Towers on a device that is not the processor: every tensor of theirs lies
// there, and what they compute there, without oneDNN, is what they compute on
// the processor. The paths are those that a CUDA device takes.
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clip/encoder.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "tests/clip/fake_device.h"
#include "tests/clip/golden.h"
#include "tests/clip/random_text_tower.h"

namespace promptd::clip {
namespace {

constexpr int64_t kContext = 4;

struct DeviceCase {
  std::string encoder;
  Precision precision;
  double tolerance;  // of max|a - b| / max|b|
};

double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  return a.to(at::kCPU).sub(b).abs().max().item<double>() /
         b.abs().max().item<double>();
}

class DeviceTest : public ::testing::TestWithParam<DeviceCase> {
 protected:
  void SetUp() override {
    ASSERT_EQ(FakeDevice().str(), kFakeDevice);
    device_ = Load(kFakeDevice);
    processor_ = Load("cpu");
    ASSERT_NE(device_, nullptr);
    ASSERT_NE(processor_, nullptr);
  }

  static std::shared_ptr<const Encoder> Load(const std::string& device) {
    const auto folder =
        weights::EncoderFolder::Open(EncoderPath(GetParam().encoder));
    EXPECT_TRUE(folder.ok()) << folder.status();
    if (!folder.ok()) return nullptr;
    const auto encoder = Encoder::Load(*folder, {GetParam().precision, device});
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    return encoder.ok() ? *encoder : nullptr;
  }

  PromptBatch MakeBatch(const Encoder& encoder) const {
    std::vector<TokenRow> rows;
    for (const char* text :
         {"X X X X cat.", "X X X X a red fox.", "X X X X the tower."}) {
      rows.push_back(*encoder.tokenizer().EncodeWithMarkers(
          text, encoder.config().text.context_length));
    }
    return *PromptBatch::Create(encoder.text_tower(),
                                UnifiedPrompts(rows, kContext), kContext, {});
  }

  std::shared_ptr<const Encoder> device_;
  std::shared_ptr<const Encoder> processor_;
};

TEST_P(DeviceTest, ImageFeaturesAreTheProcessors) {
  const int64_t side = device_->config().vision.image_size;
  const at::Tensor pixels = at::randn({3, 3, side, side});
  const auto features = device_->EncodeImages(pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->device(), FakeDevice());
  EXPECT_EQ(features->scalar_type(), at::kFloat);
  EXPECT_LE(RelativeDifference(*features, *processor_->EncodeImages(pixels)),
            GetParam().tolerance);
}

TEST_P(DeviceTest, FeaturesOfPlainNumbersComeBackToTheProcessor) {
  const Goldens goldens = LoadGoldens(GetParam().encoder);
  const auto features = device_->EncodeImages(goldens.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_LE(RelativeError(*features, goldens.image_features),
            GetParam().tolerance);
}

TEST_P(DeviceTest, PromptFeaturesAndGradientAreTheProcessors) {
  const PromptBatch there = MakeBatch(*device_);
  const PromptBatch here = MakeBatch(*processor_);
  const at::Tensor context =
      at::randn({kContext, device_->config().text.width}).mul(0.02);
  PromptState state_there;
  PromptState state_here;
  const at::Tensor features =
      there.Forward(context.to(FakeDevice()), &state_there);
  EXPECT_EQ(features.device(), FakeDevice());
  const at::Tensor expected = here.Forward(context, &state_here);
  EXPECT_LE(RelativeDifference(features, expected), GetParam().tolerance);

  const at::Tensor d_features = at::randn(expected.sizes());
  const at::Tensor gradient =
      there.Backward(d_features.to(FakeDevice()), &state_there);
  EXPECT_EQ(gradient.device(), FakeDevice());
  EXPECT_LE(
      RelativeDifference(gradient, here.Backward(d_features, &state_here)),
      GetParam().tolerance);
}

TEST(FakeDeviceTest, RefusesTensorsOfTwoDevices) {
  const at::Tensor here = at::randn({2, 2});
  const at::Tensor there = here.to(FakeDevice());
  EXPECT_THROW(there.add(here), c10::Error);
  EXPECT_THROW(there.index_select(0, here.select(0, 0).to(at::kLong)),
               c10::Error);
  EXPECT_EQ(RelativeDifference(there.add(there), here.add(here)), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Towers, DeviceTest,
    ::testing::Values(DeviceCase{"tiny", Precision::kFloat32, 1e-5},
                      DeviceCase{"tiny", Precision::kBFloat16, 0.05},
                      DeviceCase{"tiny_vit", Precision::kFloat32, 1e-5},
                      DeviceCase{"tiny_vit", Precision::kBFloat16, 0.05}),
    [](const auto& tested) {
      return tested.param.encoder + "_" + PrecisionName(tested.param.precision);
    });

}  // namespace
}  // namespace promptd::clip

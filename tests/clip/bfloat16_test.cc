// Towers in bfloat16 against open_clip in float32, and their gradient against
// that of float32 towers.
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_replace.h"
#include "clip/encoder.h"
#include "clip/frozen_linear.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "tests/clip/golden.h"
#include "tests/clip/random_text_tower.h"
#include "tests/clip/relative_error.h"

namespace promptd::clip {
namespace {

constexpr double kFeatureCosine = 0.999;
constexpr double kGradientCosine = 0.99;
// Of a number of eight significant bits.
constexpr double kOneRounding = 1.0 / 256;

// The smallest cosine of two matrices' rows, into the test's output as well.
double SmallestCosine(const FloatTensor& a, const FloatTensor& b) {
  if (a.shape != b.shape) return -1;
  const size_t width = static_cast<size_t>(a.shape[1]);
  double smallest = 1;
  for (size_t row = 0; row < a.values.size(); row += width) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = row; i < row + width; ++i) {
      ab += double{a.values[i]} * b.values[i];
      aa += double{a.values[i]} * a.values[i];
      bb += double{b.values[i]} * b.values[i];
    }
    const double cosine = ab / std::sqrt(aa * bb);
    if (std::isnan(cosine)) return -1;
    smallest = std::min(smallest, cosine);
  }
  std::printf("smallest cosine %.6f\n", smallest);
  return smallest;
}

class BFloat16ParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    encoder_ = LoadEncoder(GetParam(), Precision::kBFloat16);
    ASSERT_NE(encoder_, nullptr);
    EXPECT_EQ(encoder_->precision(), Precision::kBFloat16);
    goldens_ = LoadGoldens(GetParam());
  }

  std::shared_ptr<const Encoder> encoder_;
  Goldens goldens_;
};

TEST_P(BFloat16ParityTest, ImageFeaturesPointWhereOpenClipsDo) {
  const auto features = encoder_->EncodeImages(goldens_.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_GE(SmallestCosine(*features, goldens_.image_features), kFeatureCosine);
  // Equal features would mean that the towers compute in float32.
  EXPECT_GT(RelativeError(*features, goldens_.image_features), 1e-4);
}

TEST_P(BFloat16ParityTest, TextFeaturesPointWhereOpenClipsDo) {
  const FloatTensor features =
      PackedTextFeatures(*encoder_, goldens_.token_ids);
  EXPECT_GE(SmallestCosine(features, goldens_.text_features), kFeatureCosine);
  EXPECT_GT(RelativeError(features, goldens_.text_features), 1e-4);
}

TEST_P(BFloat16ParityTest, ContextGradientPointsWhereFloat32sDoes) {
  const std::shared_ptr<const Encoder> exact =
      LoadEncoder(GetParam(), Precision::kFloat32);
  ASSERT_NE(exact, nullptr);
  constexpr int64_t kContext = 4;
  std::vector<TokenRow> rows;
  for (const char* name :
       {"X X X X cat.", "X X X X a red fox.", "X X X X the tower of Pisa."}) {
    const auto row = exact->tokenizer().EncodeWithMarkers(
        name, exact->config().text.context_length);
    ASSERT_TRUE(row.ok()) << row.status();
    rows.push_back(*row);
  }
  const int64_t width = exact->config().text.width;
  const at::Tensor context = at::randn({kContext, width}).mul(0.02);
  const at::Tensor d_features =
      at::randn({static_cast<int64_t>(rows.size()), exact->config().embed_dim});
  const auto gradient = [&](const Encoder& encoder) {
    const auto batch = PromptBatch::Create(
        encoder.text_tower(), UnifiedPrompts(rows, kContext), kContext, {});
    EXPECT_TRUE(batch.ok()) << batch.status();
    PromptState state;
    EXPECT_EQ(batch->Forward(context, &state).scalar_type(), at::kFloat);
    const at::Tensor d_context = batch->Backward(d_features, &state);
    EXPECT_EQ(d_context.scalar_type(), at::kFloat);
    const at::Tensor flat = d_context.contiguous();
    const float* begin = flat.const_data_ptr<float>();
    return FloatTensor{{1, flat.numel()}, {begin, begin + flat.numel()}};
  };
  EXPECT_GE(SmallestCosine(gradient(*encoder_), gradient(*exact)),
            kGradientCosine);
}

INSTANTIATE_TEST_SUITE_P(
    Encoders, BFloat16ParityTest, ::testing::ValuesIn(ParityEncoders()),
    [](const auto& encoder) {
      return absl::StrReplaceAll(encoder.param, {{"-", "_"}});
    });

TEST(BFloat16LinearTest, RoundsOnceAfterTheSum) {
  // 256 times 1 + 2^-7 is 258, which bfloat16 holds; sums in it stop at 256.
  const at::Tensor weight = at::full({8, 256}, 1.0, at::kFloat);
  const at::Tensor x =
      at::full({3, 256}, 1.0 + 1.0 / 128, at::kFloat).to(at::kBFloat16);
  const FrozenLinear layer(weight, at::Tensor(), LinearUse::kForwardOnly,
                           at::kBFloat16);
  const at::Tensor y = layer.Forward(x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(y.min().item<float>(), 258.0f);
  EXPECT_EQ(y.max().item<float>(), 258.0f);
}

// On every processor: one without bfloat16 arithmetic has its blocked layout in
// float32, of the same rounded numbers.
TEST(BFloat16LinearTest, PackedWeightsGiveThePlainOperatorsResultsBothWays) {
  const auto rounded = [](at::IntArrayRef sizes) {
    return at::randn(sizes).to(at::kBFloat16);
  };
  const auto exact = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const at::Tensor weight = rounded({24, 300});
  const at::Tensor bias = rounded({24});
  const at::Tensor x = rounded({9, 300});
  const at::Tensor dy = rounded({9, 24});
  const FrozenLinear layer(weight.to(at::kFloat), bias.to(at::kFloat),
                           LinearUse::kInputGradient, at::kBFloat16);
  EXPECT_TRUE(layer.packed());
  const at::Tensor y = layer.Forward(x);
  const at::Tensor dx = layer.InputGradient(dy);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(dx.scalar_type(), at::kBFloat16);
  const at::Tensor linear = at::linear(exact(x), exact(weight), exact(bias));
  EXPECT_LT(RelativeError(y, linear), kOneRounding);
  EXPECT_LT(
      RelativeError(layer.Forward(x, Activation::kGelu), at::gelu(linear)),
      kOneRounding);
  EXPECT_LT(RelativeError(dx, at::matmul(exact(dy), exact(weight))),
            kOneRounding);
}

}  // namespace
}  // namespace promptd::clip

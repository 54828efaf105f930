#include "clip/frozen_linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

#include <tuple>

#include "gtest/gtest.h"
#include "tests/clip/relative_error.h"

namespace promptd::clip {
namespace {

// float32 accumulated over up to 2048 products, worst of 700,000 results.
constexpr double kLinearTolerance = 2e-6;

// rows, in, out
class FrozenLinearShapeTest
    : public ::testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(FrozenLinearShapeTest, MatchesThePlainOperatorsBothWays) {
  const auto [rows, in, out] = GetParam();
  const at::Tensor weight = at::randn({out, in});
  const at::Tensor bias = at::randn({out});
  const at::Tensor x = at::randn({rows, in});
  const at::Tensor dy = at::randn({rows, out});
  const FrozenLinear layer(weight, bias);
  EXPECT_EQ(layer.in_features(), in);
  EXPECT_EQ(layer.out_features(), out);

  const at::Tensor y = layer.Forward(x);
  ASSERT_EQ(y.sizes(), at::IntArrayRef({rows, out}));
  const at::Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble),
                                      bias.to(at::kDouble));
  EXPECT_LT(RelativeError(y, exact), kLinearTolerance);

  const at::Tensor dx = layer.InputGradient(dy);
  ASSERT_EQ(dx.sizes(), at::IntArrayRef({rows, in}));
  EXPECT_LT(
      RelativeError(dx, at::matmul(dy.to(at::kDouble), weight.to(at::kDouble))),
      kLinearTolerance);
  // The second call runs on the packed transpose of the first.
  EXPECT_TRUE(layer.InputGradient(dy).equal(dx));
}

INSTANTIATE_TEST_SUITE_P(Shapes, FrozenLinearShapeTest,
                         ::testing::Values(std::make_tuple(1, 64, 64),
                                           std::make_tuple(17, 512, 2048),
                                           std::make_tuple(61, 2048, 512),
                                           std::make_tuple(467, 512, 1536),
                                           std::make_tuple(3, 7, 5),
                                           std::make_tuple(5, 1, 1)));

TEST(FrozenLinearTest, WorksWithoutABias) {
  const at::Tensor weight = at::randn({24, 16});
  const at::Tensor x = at::randn({4, 16});
  const FrozenLinear layer(weight, at::Tensor());
  EXPECT_LT(RelativeError(layer.Forward(x), at::linear(x, weight)), 1e-6);
}

TEST(FrozenLinearTest, TakesStridedInputAndWeight) {
  const at::Tensor weight = at::randn({16, 24}).t();  // [24, 16]
  const at::Tensor x = at::randn({16, 4}).t();
  const FrozenLinear layer(weight, at::Tensor());
  EXPECT_LT(RelativeError(layer.Forward(x), at::matmul(x, weight.t())), 1e-6);
}

// Activations run inside the packed layer; blocked sums and plain layers apply
// them afterwards.
TEST(FrozenLinearTest, ActivationsAreThoseOfTheOperators) {
  const at::Tensor weight = at::randn({24, 300});
  const at::Tensor bias = at::randn({24});
  const at::Tensor x = at::randn({9, 300});
  const at::Tensor y = at::linear(x, weight, bias);
  for (const LinearUse use :
       {LinearUse::kForwardOnly, LinearUse::kInputGradient}) {
    const FrozenLinear layer(weight, bias, use);
    const auto error = [&](Activation activation, const at::Tensor& expected) {
      return RelativeError(layer.Forward(x, activation), expected);
    };
    EXPECT_LT(error(Activation::kRelu, at::relu(y)), kLinearTolerance);
    EXPECT_LT(error(Activation::kSilu, at::silu(y)), kLinearTolerance);
    EXPECT_LT(error(Activation::kGelu, at::gelu(y)), kLinearTolerance);
  }
}

TEST(FrozenLinearTest, TakesNoRows) {
  const FrozenLinear layer(at::randn({24, 16}), at::randn({24}));
  EXPECT_EQ(layer.Forward(at::randn({0, 16})).sizes(),
            at::IntArrayRef({0, 24}));
  EXPECT_EQ(layer.InputGradient(at::randn({0, 24})).sizes(),
            at::IntArrayRef({0, 16}));
}

TEST(FrozenLinearTest, RefusesAWrongWidth) {
  const FrozenLinear layer(at::randn({24, 16}), at::randn({24}));
  EXPECT_THROW(layer.Forward(at::randn({3, 24})), c10::Error);
  EXPECT_THROW(layer.InputGradient(at::randn({3, 16})), c10::Error);
}

TEST(FrozenLinearTest, DoublesFallBackToThePlainOperators) {
  const at::Tensor weight = at::randn({24, 16}).to(at::kDouble);
  const at::Tensor x = at::randn({4, 16}).to(at::kDouble);
  const FrozenLinear layer(weight, at::Tensor(), LinearUse::kInputGradient,
                           at::kDouble);
  EXPECT_FALSE(layer.packed());
  EXPECT_TRUE(layer.Forward(x).equal(at::linear(x, weight)));
}

TEST(FrozenLinearTest, PacksOnTheProcessor) {
  EXPECT_TRUE(FrozenLinear(at::randn({24, 16}), at::Tensor()).packed());
}

}  // namespace
}  // namespace promptd::clip

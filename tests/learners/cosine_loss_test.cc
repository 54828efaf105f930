#include "learners/cosine_loss.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "gtest/gtest.h"

namespace promptd::learners {
namespace {

TEST(CosineLossTest, GradientIsAutogradsThroughTheNormalisation) {
  const at::Tensor images = UnitRows(at::randn({9, 12}).to(at::kDouble));
  const at::Tensor labels = at::randint(5, {9}, at::kLong);
  const at::Tensor text =
      at::randn({5, 12}).to(at::kDouble).mul(3).requires_grad_(true);
  const double scale = 17.5;
  const at::Tensor unit = text.div(text.norm(2, {1}, /*keepdim=*/true));
  const at::Tensor loss =
      at::cross_entropy_loss(images.mm(unit.t()).mul(scale), labels);
  loss.backward();

  const CosineLoss ours =
      CosineCrossEntropy(images, text.detach(), labels, scale);
  EXPECT_NEAR(ours.loss.item<double>(), loss.item().toDouble(), 1e-12);
  EXPECT_TRUE(ours.d_text.allclose(text.grad(), 1e-10, 1e-12));
}

TEST(CosineLossTest, CountsImagesWhoseBestClassIsTheirLabel) {
  const at::Tensor text = at::tensor({1.f, 0.f, 0.f, 2.f}).view({2, 2});
  const at::Tensor images = at::tensor({1.f, 0.f, 0.f, 1.f, 0.f, 1.f});
  const CosineLoss loss =
      CosineCrossEntropy(images.view({3, 2}), text,
                         at::tensor({int64_t{0}, int64_t{1}, int64_t{0}}), 1);
  EXPECT_EQ(loss.correct.item<int64_t>(), 2);
  // -log softmax of (1, 0) at the right and once at the wrong place.
  const double right = std::log(1 + std::exp(-1.0));
  EXPECT_NEAR(loss.loss.item<double>(), (3 * right + 1) / 3, 1e-6);
}

TEST(CosineLossTest, StaysFiniteAtALargeScale) {
  const at::Tensor images = UnitRows(at::randn({4, 8}));
  const CosineLoss loss = CosineCrossEntropy(
      images, at::randn({3, 8}), at::randint(3, {4}, at::kLong), 1e4);
  EXPECT_TRUE(std::isfinite(loss.loss.item<double>()));
  EXPECT_TRUE(loss.d_text.isfinite().all().item().toBool());
}

}  // namespace
}  // namespace promptd::learners

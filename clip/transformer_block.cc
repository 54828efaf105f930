#include "clip/transformer_block.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include <cmath>
#include <tuple>

namespace promptd::clip {

FrozenNorm::FrozenNorm(const at::Tensor& weight, const at::Tensor& bias,
                       const at::TensorOptions& options) {
  // The processor's kernels take float32 parameters with rows of either type;
  // CUDA's want one type.
  const at::TensorOptions kept =
      options.device().is_cpu() ? options.dtype(at::kFloat) : options;
  weight_ = weight.to(kept, /*non_blocking=*/false, /*copy=*/true);
  bias_ = bias.to(kept, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor FrozenNorm::Forward(const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, weight_, bias_, kLayerNormEpsilon);
}

at::Tensor FrozenNorm::Forward(const at::Tensor& x, NormSaved* saved) const {
  at::Tensor y;
  std::tie(y, saved->mean, saved->rstd) =
      at::native_layer_norm(x, {x.size(1)}, weight_, bias_, kLayerNormEpsilon);
  saved->x = x;
  return y;
}

at::Tensor FrozenNorm::Backward(const at::Tensor& dy,
                                const NormSaved& saved) const {
  return std::get<0>(at::native_layer_norm_backward(
      dy, saved.x, {dy.size(1)}, saved.mean, saved.rstd, weight_, bias_,
      {true, false, false}));
}

TransformerBlock::TransformerBlock(const BlockWeights& weights, int64_t heads,
                                   bool quick_gelu, bool last, LinearUse use,
                                   const at::TensorOptions& options)
    : quick_gelu_(quick_gelu),
      norm_1_(weights.ln_1_weight, weights.ln_1_bias, options),
      norm_2_(weights.ln_2_weight, weights.ln_2_bias, options),
      out_(weights.out_proj_weight, weights.out_proj_bias, use, options) {
  const int64_t width = weights.out_proj_weight.size(0);
  const double scale = 1.0 / std::sqrt(static_cast<double>(width / heads));
  const at::Tensor w = weights.in_proj_weight.clone();
  const at::Tensor b = weights.in_proj_bias.clone();
  const at::Tensor query_weight = w.narrow(0, 0, width).mul_(scale);
  const at::Tensor query_bias = b.narrow(0, 0, width).mul_(scale);
  if (last) {
    query_ = FrozenLinear(query_weight, query_bias, use, options);
    key_value_ = FrozenLinear(w.narrow(0, width, 2 * width),
                              b.narrow(0, width, 2 * width), use, options);
  } else {
    qkv_ = FrozenLinear(w, b, use, options);
  }
  const double factor = quick_gelu ? kQuickGelu : 1.0;
  fc_ = FrozenLinear(weights.c_fc_weight.mul(factor),
                     weights.c_fc_bias.mul(factor), use, options);
  proj_ = FrozenLinear(weights.c_proj_weight.div(factor), weights.c_proj_bias,
                       use, options);
}

at::Tensor TransformerBlock::Mlp(const at::Tensor& x) const {
  const at::Tensor active = fc_.Forward(
      norm_2_.Forward(x), quick_gelu_ ? Activation::kSilu : Activation::kGelu);
  return proj_.Forward(active).add_(x);
}

at::Tensor TransformerBlock::Mlp(const at::Tensor& x, MlpSaved* saved) const {
  saved->hidden = fc_.Forward(norm_2_.Forward(x, &saved->norm));
  return proj_
      .Forward(quick_gelu_ ? at::silu(saved->hidden) : at::gelu(saved->hidden))
      .add_(x);
}

at::Tensor TransformerBlock::MlpBackward(const at::Tensor& dy,
                                         const MlpSaved& saved) const {
  const at::Tensor d_active = proj_.InputGradient(dy);
  const at::Tensor d_hidden = quick_gelu_
                                  ? at::silu_backward(d_active, saved.hidden)
                                  : at::gelu_backward(d_active, saved.hidden);
  return norm_2_.Backward(fc_.InputGradient(d_hidden), saved.norm).add_(dy);
}

}  // namespace promptd::clip

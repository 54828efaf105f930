#include "clip/transformer_block.h"

#include <ATen/ops/add.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

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

TransformerBlock::TransformerBlock(const BlockWeights& weights,
                                   double query_scale, bool quick_gelu,
                                   bool last, LinearUse use,
                                   const at::TensorOptions& options)
    : quick_gelu_(quick_gelu),
      factor_(quick_gelu ? kQuickGelu : 1.0),
      norm_1_(weights.ln_1_weight, weights.ln_1_bias, options),
      norm_2_(weights.ln_2_weight.mul(factor_), weights.ln_2_bias.mul(factor_),
              options),
      out_(weights.out_proj_weight, weights.out_proj_bias, use, options),
      fc_(weights.c_fc_weight, weights.c_fc_bias.mul(factor_), use, options),
      proj_(weights.c_proj_weight, weights.c_proj_bias.mul(factor_), use,
            options) {
  const int64_t width = weights.out_proj_weight.size(0);
  at::Tensor w = weights.in_proj_weight;
  at::Tensor b = weights.in_proj_bias;
  if (query_scale != 1) {
    w = w.clone();
    b = b.clone();
    w.narrow(0, 0, width).mul_(query_scale);
    b.narrow(0, 0, width).mul_(query_scale);
  }
  if (last) {
    query_ = FrozenLinear(w.narrow(0, 0, width), b.narrow(0, 0, width), use,
                          options);
    key_value_ = FrozenLinear(w.narrow(0, width, 2 * width),
                              b.narrow(0, width, 2 * width), use, options);
  } else {
    qkv_ = FrozenLinear(w, b, use, options);
  }
}

// x + change / factor, in the memory of `change`.
at::Tensor TransformerBlock::AddScaled(const at::Tensor& x,
                                       at::Tensor change) const {
  return at::add_out(change, x, change, 1 / factor_);
}

at::Tensor TransformerBlock::Mlp(const at::Tensor& x) const {
  const at::Tensor active = fc_.Forward(
      norm_2_.Forward(x), quick_gelu_ ? Activation::kSilu : Activation::kGelu);
  return AddScaled(x, proj_.Forward(active));
}

at::Tensor TransformerBlock::Mlp(const at::Tensor& x, MlpSaved* saved) const {
  saved->hidden = fc_.Forward(norm_2_.Forward(x, &saved->norm));
  return AddScaled(x, proj_.Forward(quick_gelu_ ? at::silu(saved->hidden)
                                                : at::gelu(saved->hidden)));
}

at::Tensor TransformerBlock::MlpBackward(const at::Tensor& dy,
                                         const MlpSaved& saved) const {
  const at::Tensor d_active = proj_.InputGradient(dy);
  const at::Tensor d_hidden = quick_gelu_
                                  ? at::silu_backward(d_active, saved.hidden)
                                  : at::gelu_backward(d_active, saved.hidden);
  return AddScaled(dy,
                   norm_2_.Backward(fc_.InputGradient(d_hidden), saved.norm));
}

}  // namespace promptd::clip

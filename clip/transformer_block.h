// One frozen residual block of a CLIP transformer on packed rows, with an
// explicit backward to its input where one is asked for.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>

#include "clip/block_weights.h"
#include "clip/frozen_linear.h"

namespace promptd::clip {

// A layer norm's input and statistics.
struct NormSaved {
  at::Tensor x;           // [rows, W]
  at::Tensor mean, rstd;  // [rows, 1]
};

// y = (x - mean) * rstd * weight + bias, statistics over the last dimension,
// in float32 for an x of either type.
class FrozenNorm {
 public:
  FrozenNorm() = default;
  // weight, bias [W] float32; copied to the device of `options`, whose type x
  // will have.
  FrozenNorm(const at::Tensor& weight, const at::Tensor& bias,
             const at::TensorOptions& options = at::kFloat);

  at::Tensor Forward(const at::Tensor& x) const;
  at::Tensor Forward(const at::Tensor& x, NormSaved* saved) const;
  // dy [rows, W] -> dx [rows, W].
  at::Tensor Backward(const at::Tensor& dy, const NormSaved& saved) const;

 private:
  at::Tensor weight_, bias_;  // [W]
};

struct MlpSaved {
  NormSaved norm;
  at::Tensor hidden;  // [rows, 4W], before the activation
};

// The linear layers and norms of a block; attention itself is the tower's.
// MlpBackward wants LinearUse::kInputGradient. QuickGELU is SiLU between two
// factors, x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, which lie in norm_2,
// the biases and the residual's sum, so that weights are packed as they are.
// Immutable and thread-safe; callers hold a no-grad guard. Functions throw
// c10::Error.
class TransformerBlock {
 public:
  // `query_scale` is folded into the queries. `last`: queries are asked for on
  // few rows only, so they have a layer of their own.
  // The weights are float32; the layers have the type and device of `options`.
  TransformerBlock(const BlockWeights& weights, double query_scale,
                   bool quick_gelu, bool last, LinearUse use,
                   const at::TensorOptions& options);

  const FrozenNorm& norm_1() const { return norm_1_; }
  // Queries, keys and values, [rows, W] -> [rows, 3W]; not in the last block.
  const FrozenLinear& qkv() const { return qkv_; }
  // Only in the last block: [rows, W] -> [rows, W] and [rows, 2W].
  const FrozenLinear& query() const { return query_; }
  const FrozenLinear& key_value() const { return key_value_; }
  const FrozenLinear& out() const { return out_; }

  // x [rows, W] -> x + mlp(norm_2(x)) [rows, W].
  at::Tensor Mlp(const at::Tensor& x) const;
  at::Tensor Mlp(const at::Tensor& x, MlpSaved* saved) const;
  at::Tensor MlpBackward(const at::Tensor& dy, const MlpSaved& saved) const;

 private:
  at::Tensor AddScaled(const at::Tensor& x, at::Tensor change) const;

  bool quick_gelu_ = false;
  double factor_ = 1;  // QuickGELU's
  FrozenNorm norm_1_, norm_2_;
  FrozenLinear qkv_, query_, key_value_, out_, fc_, proj_;
};

}  // namespace promptd::clip

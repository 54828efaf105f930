#include "clip/attention_pool.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <cmath>

namespace promptd::clip {

AttentionPool::AttentionPool(const AttentionPoolWeights& weights, int64_t heads,
                             const at::TensorOptions& options)
    : heads_(heads),
      positional_embedding_(weights.positional_embedding.to(
          options, /*non_blocking=*/false, /*copy=*/true)),
      query_(weights.q_weight, weights.q_bias, LinearUse::kForwardOnly,
             options),
      keys_values_(at::cat({weights.k_weight, weights.v_weight}),
                   at::cat({weights.k_bias, weights.v_bias}),
                   LinearUse::kForwardOnly, options),
      out_(weights.out_weight, weights.out_bias, LinearUse::kForwardOnly,
           options) {}

// open_clip's AttentionPool2d.forward, of which only row 0 is read:
//   x = [mean(x); x] + pos;  softmax(q_0 k^T / sqrt(d)) v
at::Tensor AttentionPool::Forward(const at::Tensor& x) const {
  const int64_t batch = x.size(0);
  const int64_t width = x.size(1);                         // D
  const at::Tensor places = x.flatten(2).transpose(1, 2);  // [B, P, D]
  const at::Tensor tokens =
      at::cat({places.mean(1, /*keepdim=*/true), places}, 1)
          .add(positional_embedding_);        // [B, P+1, D]
  const int64_t length = tokens.size(1);      // T = P + 1
  const int64_t head_width = width / heads_;  // d
  const at::Tensor query =
      query_.Forward(tokens.select(1, 0)).view({batch, heads_, 1, head_width});
  const at::Tensor keys_values =
      keys_values_.Forward(tokens.reshape({batch * length, width}))
          .view({batch, length, 2, heads_, head_width})
          .permute({2, 0, 3, 1, 4});  // [2, B, H, T, d]
  const at::Tensor scores =           // [B, H, 1, T]
      at::matmul(query, keys_values.select(0, 0).transpose(2, 3))
          .mul(1.0 / std::sqrt(static_cast<double>(head_width)));
  const at::Tensor pooled =
      at::matmul(at::softmax(scores, -1), keys_values.select(0, 1));
  return out_.Forward(pooled.reshape({batch, width}));  // [B, E]
}

int64_t AttentionPool::multiply_adds() const {
  const auto size = [](const FrozenLinear& layer) {
    return layer.in_features() * layer.out_features();
  };
  return size(query_) + size(out_) +
         positional_embedding_.size(0) * size(keys_values_);
}

}  // namespace promptd::clip

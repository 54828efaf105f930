// Attention pooling: one query, the mean of all places, looks at every place.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include "clip/frozen_linear.h"

namespace promptd::clip {

// The tensors of open_clip's AttentionPool2d. D features, P places.
struct AttentionPoolWeights {
  at::Tensor positional_embedding;  // [P + 1, D]
  at::Tensor q_weight, q_bias;      // [D, D], [D]
  at::Tensor k_weight, k_bias;      // [D, D], [D]
  at::Tensor v_weight, v_bias;      // [D, D], [D]
  at::Tensor out_weight, out_bias;  // [E, D], [E]
};

// Immutable; callers hold a no-grad guard.
class AttentionPool {
 public:
  AttentionPool() = default;
  // The weights are float32; the layers have the type and device of
  // `options`.
  AttentionPool(const AttentionPoolWeights& weights, int64_t heads,
                const at::TensorOptions& options);

  // x [B, D, h, w] with h * w = P -> [B, E].
  at::Tensor Forward(const at::Tensor& x) const;

  // Of one image, in the linear layers.
  int64_t multiply_adds() const;

 private:
  int64_t heads_ = 0;
  at::Tensor positional_embedding_;  // [P + 1, D]
  FrozenLinear query_;
  FrozenLinear keys_values_;  // D -> 2D: keys, then values
  FrozenLinear out_;
};

}  // namespace promptd::clip

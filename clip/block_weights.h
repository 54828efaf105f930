// The tensors of one residual block of a CLIP transformer, text or image,
// under open_clip's names, shapes checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "clip/tensor_reader.h"

namespace promptd::clip {

inline constexpr double kLayerNormEpsilon = 1e-5;
// QuickGELU(x) = x * sigmoid(kQuickGelu * x).
inline constexpr double kQuickGelu = 1.702;

// W is the transformer's width. Copies share the tensors.
struct BlockWeights {
  at::Tensor ln_1_weight, ln_1_bias;          // [W]
  at::Tensor in_proj_weight, in_proj_bias;    // [3W, W], [3W]: q, k, v
  at::Tensor out_proj_weight, out_proj_bias;  // [W, W], [W]
  at::Tensor ln_2_weight, ln_2_bias;          // [W]
  at::Tensor c_fc_weight, c_fc_bias;          // [4W, W], [4W]
  at::Tensor c_proj_weight, c_proj_bias;      // [W, 4W], [W]

  // The float32 tensors "<prefix>resblocks.<layer>.*"; `reader` collects the
  // problems, and tensors may then be undefined.
  static BlockWeights Read(const std::string& prefix, int layer, int64_t width,
                           TensorReader& reader);

  // The same block in another floating-point type.
  BlockWeights To(at::ScalarType type) const;
};

}  // namespace promptd::clip

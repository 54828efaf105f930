// The tensors of a CLIP text tower, under open_clip's names, shapes checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "clip/tensor_reader.h"
#include "weights/encoder_config.h"
#include "weights/safetensors.h"

namespace promptd::clip {

// Letters: W width, E embedding, V vocabulary, L context length.
struct TextBlockWeights {
  at::Tensor ln_1_weight, ln_1_bias;          // [W]
  at::Tensor in_proj_weight, in_proj_bias;    // [3W, W], [3W]: q, k, v
  at::Tensor out_proj_weight, out_proj_bias;  // [W, W], [W]
  at::Tensor ln_2_weight, ln_2_bias;          // [W]
  at::Tensor c_fc_weight, c_fc_bias;          // [4W, W], [4W]
  at::Tensor c_proj_weight, c_proj_bias;      // [W, 4W], [W]
};

// Frozen: nothing requires a gradient. Copies share the tensors.
// Thread-compatible; immutable once loaded.
struct TextWeights {
  weights::TextConfig config;
  int embed_dim = 0;
  bool quick_gelu = false;
  at::Tensor token_embedding;       // [V, W]
  at::Tensor positional_embedding;  // [L, W]
  std::vector<TextBlockWeights> blocks;
  at::Tensor ln_final_weight, ln_final_bias;  // [W]
  at::Tensor text_projection;                 // [W, E]

  // float32 tensors of the file. INVALID_ARGUMENT (BAD_ENCODER_WEIGHTS) names
  // every tensor that is missing or has another shape.
  static absl::StatusOr<TextWeights> Load(const weights::EncoderConfig& config,
                                          const weights::Safetensors& file);
  // The same; `reader` collects the problems, and tensors may be undefined.
  static TextWeights Read(const weights::EncoderConfig& config,
                          TensorReader& reader);

  // The same tower in another floating-point type.
  TextWeights To(at::ScalarType type) const;
};

inline constexpr double kLayerNormEpsilon = 1e-5;
// QuickGELU(x) = x * sigmoid(kQuickGelu * x).
inline constexpr double kQuickGelu = 1.702;

}  // namespace promptd::clip

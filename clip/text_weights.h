// The tensors of a CLIP text tower, under open_clip's names, shapes checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "clip/block_weights.h"
#include "clip/tensor_reader.h"
#include "weights/encoder_config.h"
#include "weights/safetensors.h"

namespace promptd::clip {

// Letters: W width, E embedding, V vocabulary, L context length.
//
// Frozen: nothing requires a gradient. Copies share the tensors.
// Thread-compatible; immutable once loaded.
struct TextWeights {
  weights::TextConfig config;
  int embed_dim = 0;
  bool quick_gelu = false;
  at::Tensor token_embedding;       // [V, W]
  at::Tensor positional_embedding;  // [L, W]
  std::vector<BlockWeights> blocks;
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

}  // namespace promptd::clip

// A frozen CLIP text tower, ready to run: embeddings and packed layers.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "clip/frozen_linear.h"
#include "clip/prompt_text.h"
#include "clip/text_weights.h"
#include "clip/transformer_block.h"

namespace promptd::clip {

//   ASSIGN_OR_RETURN(std::shared_ptr<const TextTower> tower,
//                    TextTower::Load(config, file));
//
// Learned prompts run through it with PromptBatch (prompt_batch.h), fixed
// texts with EncodeTexts. Immutable; only the device thread computes with it.
class TextTower {
 public:
  // INVALID_ARGUMENT (BAD_ENCODER_WEIGHTS) lists what is wrong with the file;
  // RESOURCE_EXHAUSTED when memory runs out.
  static absl::StatusOr<std::shared_ptr<const TextTower>> Load(
      const weights::EncoderConfig& config, const weights::Safetensors& file);

  // Copies and packs weights that were loaded before; the layers have the type
  // (float32 or bfloat16) and device of `options`. Throws c10::Error.
  explicit TextTower(const TextWeights& weights,
                     const at::TensorOptions& options = at::kFloat);

  int64_t width() const { return config_.width; }   // W
  int64_t embed_dim() const { return embed_dim_; }  // E
  int64_t heads() const { return config_.heads; }   // H
  int64_t context_length() const { return config_.context_length; }
  // What the layers take and give; embeddings are float32.
  at::ScalarType type() const { return type_; }
  // Of index tensors on the tower's device.
  at::TensorOptions index_options() const {
    return token_embedding_.options().dtype(at::kLong);
  }

  const at::Tensor& token_embedding() const {  // [V, W] float32
    return token_embedding_;
  }
  const at::Tensor& positional_embedding() const {  // [L, W] float32
    return positional_embedding_;
  }
  const std::vector<TransformerBlock>& blocks() const { return blocks_; }
  const FrozenNorm& norm_final() const { return norm_final_; }
  const FrozenLinear& projection() const { return projection_; }  // W -> E

  // Embedding plus position of items [rows] -> [rows, W], float32; the position
  // alone of learned items.
  at::Tensor Embed(const std::vector<PromptItem>& items,
                   const std::vector<int64_t>& positions) const;

 private:
  weights::TextConfig config_;
  int64_t embed_dim_ = 0;
  at::ScalarType type_;
  at::Tensor token_embedding_, positional_embedding_;
  std::vector<TransformerBlock> blocks_;
  FrozenNorm norm_final_;
  FrozenLinear projection_;
};

}  // namespace promptd::clip

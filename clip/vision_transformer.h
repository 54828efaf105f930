// CLIP's vision transformer: patches as tokens behind a class token, whose
// last state is the image.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <memory>
#include <vector>

#include "clip/image_tower.h"
#include "clip/tensor_reader.h"
#include "clip/transformer_block.h"
#include "weights/encoder_config.h"

namespace promptd::clip {

class VisionTransformer : public ImageTower {
 public:
  // Takes the tensors "visual.*" of open_clip's CLIP and computes in `type`;
  // what is missing or has another shape is noted in `reader`, and the tower is
  // then null. Throws c10::Error.
  static std::unique_ptr<VisionTransformer> Load(
      const weights::EncoderConfig& config, const at::TensorOptions& options,
      TensorReader& reader);

  at::Tensor Encode(const at::Tensor& pixels) const override;
  int64_t activation_bytes() const override;
  int64_t multiply_adds() const override;

 private:
  VisionTransformer() = default;

  // pixels [B, 3, S, S] -> patches as rows [B*G*G, 3*p*p].
  at::Tensor Patches(const at::Tensor& pixels) const;
  // Tokens with their positions, normalised, [B, T, W] with T = G*G + 1.
  at::Tensor Embed(const at::Tensor& pixels) const;
  // x [B*T, W] -> the same shape.
  at::Tensor RunBlock(const TransformerBlock& block, const at::Tensor& x,
                      int64_t batch) const;
  // The last block: its class tokens only, [B, W].
  at::Tensor RunLastBlock(const at::Tensor& x, int64_t batch) const;

  at::TensorOptions options_;  // of the layers
  int64_t patch_ = 0;          // p, pixels
  int64_t grid_ = 0;           // G, patches a side
  int64_t tokens_ = 0;         // T
  int64_t width_ = 0;          // W
  int64_t heads_ = 0;          // H
  FrozenLinear patch_embedding_;
  at::Tensor class_token_;  // [W], its position added
  at::Tensor positions_;    // [G*G, W]
  FrozenNorm norm_pre_, norm_post_;
  std::vector<TransformerBlock> blocks_;
  FrozenLinear projection_;  // W -> E
};

}  // namespace promptd::clip

// CLIP's modified ResNet: three convolutions as stem, strides made of average
// pooling, and attention as the final pooling.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "clip/attention_pool.h"
#include "clip/frozen_conv.h"
#include "clip/image_tower.h"
#include "clip/tensor_reader.h"
#include "weights/encoder_config.h"

namespace promptd::clip {

class ModifiedResNet : public ImageTower {
 public:
  // Takes the tensors "visual.*" of open_clip's CLIP and computes in `type`;
  // what is missing or has another shape is noted in `reader`, and the tower is
  // then null. Throws c10::Error.
  static std::unique_ptr<ModifiedResNet> Load(
      const weights::VisionConfig& config, int embed_dim,
      const at::TensorOptions& options, TensorReader& reader);

  at::Tensor Encode(const at::Tensor& pixels) const override;
  int64_t activation_bytes() const override;
  int64_t multiply_adds() const override;

 private:
  // A bottleneck: 1x1, 3x3, (pool), 1x1, added to its input.
  struct Block {
    bool pooled = false;
    FrozenConv conv1, conv2, conv3;
    std::optional<FrozenConv> downsample;
  };

  ModifiedResNet() = default;
  static at::Tensor RunBlock(const Block& block, const at::Tensor& x);

  at::TensorOptions options_;       // of the layers
  int64_t largest_activation_ = 0;  // numbers
  std::vector<FrozenConv> stem_;
  std::vector<Block> blocks_;
  AttentionPool pool_;
};

}  // namespace promptd::clip

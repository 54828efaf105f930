// An image tower whose weights learn: plain operators with autograd, for who
// tunes the image side itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "weights/encoder_config.h"
#include "weights/encoder_folder.h"

namespace promptd::clip {

// Tensors keep the names that they have in open_clip's checkpoints
// ("visual.conv1.weight"). Everything learns but the means and variances of
// batch norms, which stay and are computed with, as in open_clip after eval():
// a few images say little about them. Float32. Owned by the device thread.
class TrainableImageTower {
 public:
  // The weights of an encoder that Encoder::Load has accepted, copied to
  // `device`. Errors of torch_status.h.
  static absl::StatusOr<std::unique_ptr<TrainableImageTower>> Load(
      const weights::EncoderFolder& folder, const std::string& device);

  // pixels [B, 3, S, S] float32 as ImageTower::Encode takes them -> features
  // [B, E], not normalised; differentiable by parameters() while grad mode is
  // on. open_clip's VisionTransformer.forward, ModifiedResNet.forward. Throws
  // c10::Error.
  at::Tensor Forward(const at::Tensor& pixels) const;

  // The leaves, in the order of their names.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }

  // Everything by name: what Encoder::WithImageTower reads.
  std::map<std::string, FloatTensor> Tensors() const;

 private:
  TrainableImageTower() = default;

  // A tensor by its name without "visual.".
  const at::Tensor& At(const std::string& name) const;
  at::Tensor Linear(const at::Tensor& x, const std::string& layer) const;
  at::Tensor Norm(const at::Tensor& x, const std::string& layer) const;
  at::Tensor Conv(const at::Tensor& x, const std::string& conv,
                  const std::string& norm, int64_t stride) const;

  at::Tensor ForwardResNet(const at::Tensor& pixels) const;
  at::Tensor Bottleneck(const at::Tensor& x, const std::string& prefix,
                        bool pooled) const;
  at::Tensor AttentionPooled(const at::Tensor& x) const;

  at::Tensor ForwardTransformer(const at::Tensor& pixels) const;
  at::Tensor ResidualBlock(const at::Tensor& x,
                           const std::string& prefix) const;

  weights::VisionConfig config_;
  bool quick_gelu_ = false;
  std::map<std::string, at::Tensor> tensors_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace promptd::clip

// A frozen CLIP in memory: tokenizer, image tower, text tower, scale.
//
//   ASSIGN_OR_RETURN(const weights::EncoderFolder folder,
//                    weights::EncoderFolder::Open("models/embedded"));
//   ASSIGN_OR_RETURN(std::shared_ptr<const Encoder> encoder,
//                    Encoder::Load(folder));
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "clip/tokenizer.h"
#include "common/float_tensor.h"
#include "common/precision.h"
#include "weights/encoder_config.h"
#include "weights/encoder_folder.h"

namespace at {
class Tensor;
}

namespace promptd::clip {

class ImageTower;
class TextTower;

// Where and in which numbers an encoder's towers compute.
struct EncoderOptions {
  Precision precision = Precision::kFloat32;
  // "cpu", or "cuda:N" in a build with the CUDA part of LibTorch.
  std::string device = "cpu";
};

// Immutable: weights are shared by everything that holds the pointer. Facts
// may be read from any thread; only the device thread computes.
class Encoder {
 public:
  // Every tensor of the architecture must be there once, with its shape and
  // finite, and nothing else. INVALID_ARGUMENT (BAD_ENCODER_WEIGHTS, names
  // the tensors; BAD_MERGES); RESOURCE_EXHAUSTED (OUT_OF_MEMORY);
  // UNAVAILABLE (DEVICE_FAILED).
  static absl::StatusOr<std::shared_ptr<const Encoder>> Load(
      const weights::EncoderFolder& folder, const EncoderOptions& options = {});

  // The same encoder with another image tower of its architecture, the tensors
  // "visual.*" of `tower` (TrainableImageTower::Tensors), everything else
  // shared. Its digest is made of this one's and of `tower_digest`, which names
  // those tensors. Errors of Load.
  absl::StatusOr<std::shared_ptr<const Encoder>> WithImageTower(
      const weights::Safetensors& tower, const std::string& tower_digest) const;

  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  const std::string& name() const { return name_; }
  const std::string& digest() const { return digest_; }
  const weights::EncoderConfig& config() const { return config_; }
  bool demonstration() const { return config_.demonstration; }
  // What the towers compute in; features are float32.
  Precision precision() const { return options_.precision; }
  // Where the towers lie.
  const std::string& device() const { return options_.device; }
  // Numbers in all tensors, batch norm statistics included.
  int64_t parameters() const { return parameters_; }
  // exp of the parameter: what cosines are multiplied by.
  float logit_scale() const { return logit_scale_; }

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ImageTower& image_tower() const { return *image_tower_; }
  const std::shared_ptr<const TextTower>& text_tower() const {
    return text_tower_;
  }

  // pixels [B, 3, S, S], RGB, normalised with the configuration's mean and
  // deviation -> features [B, E], not normalised. INVALID_ARGUMENT
  // (BAD_IMAGE_SHAPE); the codes of torch_status.h.
  absl::StatusOr<FloatTensor> EncodeImages(const FloatTensor& pixels) const;
  // The same on tensors: pixels, float32, on any device, to features on the
  // encoder's.
  absl::StatusOr<at::Tensor> EncodeImages(const at::Tensor& pixels) const;

  // The same of images that lie apart, [3, S, S] each and at most `batch`:
  // features [batch, E] of them and, behind them, of zeros.
  absl::StatusOr<at::Tensor> EncodeImages(
      const std::vector<absl::Span<const float>>& images, int64_t batch) const;

 private:
  Encoder();

  // Pixels of images [first, first + count) of a batch.
  using PixelsOf = absl::FunctionRef<at::Tensor(int64_t first, int64_t count)>;
  // Without gradients.
  absl::StatusOr<at::Tensor> EncodeBatch(int64_t images, PixelsOf pixels) const;
  absl::Status CheckPixels(const std::vector<absl::Span<const float>>& images,
                           int64_t batch) const;
  // Images [first, first + count) of these, zeros behind the last.
  at::Tensor Gather(const std::vector<absl::Span<const float>>& images,
                    int64_t first, int64_t count) const;
  // Memory for pixels [count, 3, S, S], not set, from where they reach the
  // encoder's device fastest: in the numbers that the tower computes in, or
  // float32 and page-locked where that is a CUDA device. Throws c10::Error.
  at::Tensor NewPixels(int64_t count) const;

  std::string name_;
  std::string digest_;
  weights::EncoderConfig config_;
  EncoderOptions options_;
  int64_t parameters_ = 0;
  float logit_scale_ = 1;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ImageTower> image_tower_;
  std::shared_ptr<const TextTower> text_tower_;
};

}  // namespace promptd::clip

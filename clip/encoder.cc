#include "clip/encoder.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/host_floats.h"
#include "clip/modified_resnet.h"
#include "clip/tensor_reader.h"
#include "clip/text_tower.h"
#include "clip/torch_status.h"
#include "clip/vision_transformer.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::clip {
namespace {

// On the processor, images go through the tower in slices whose activations
// stay below this: the allocator gets larger blocks from the system, page by
// page, each time, which takes longer than the convolutions that fill them.
constexpr int64_t kMaxActivationBytes = int64_t{16} << 20;

absl::StatusOr<Tokenizer> LoadTokenizer(const weights::EncoderFolder& folder) {
  absl::StatusOr<Tokenizer> tokenizer = Tokenizer::FromMerges(folder.merges);
  if (!tokenizer.ok()) {
    return Annotate(tokenizer.status(), absl::StrCat("encoder ", folder.name));
  }
  if (tokenizer->vocab_size() != folder.config.text.vocab_size) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_MERGES",
        absl::StrCat("encoder ", folder.name, ": merges.txt gives ",
                     tokenizer->vocab_size(), " tokens, vocab_size is ",
                     folder.config.text.vocab_size));
  }
  return tokenizer;
}

std::unique_ptr<const ImageTower> LoadImageTower(
    const weights::EncoderConfig& config, const at::TensorOptions& options,
    TensorReader& reader) {
  if (config.vision.is_resnet()) {
    return ModifiedResNet::Load(config.vision, config.embed_dim, options,
                                reader);
  }
  return VisionTransformer::Load(config, options, reader);
}

at::TensorOptions LayerOptions(const EncoderOptions& options) {
  return at::TensorOptions()
      .dtype(options.precision == Precision::kBFloat16 ? at::kBFloat16
                                                       : at::kFloat)
      .device(options.device);
}

absl::Status CheckPixelShape(const std::vector<int64_t>& shape, int64_t side) {
  if (shape.size() == 4 && shape[0] > 0 && shape[1] == 3 && shape[2] == side &&
      shape[3] == side) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
      absl::StrCat("pixels have shape [", absl::StrJoin(shape, ", "),
                   "]; this encoder takes [batch, 3, ", side, ", ", side, "]"));
}

}  // namespace

Encoder::Encoder() = default;

Encoder::~Encoder() = default;

absl::StatusOr<std::shared_ptr<const Encoder>> Encoder::Load(
    const weights::EncoderFolder& folder, const EncoderOptions& options) {
  const weights::EncoderConfig& config = folder.config;
  ASSIGN_OR_RETURN(Tokenizer tokenizer, LoadTokenizer(folder));
  return Guarded(
      absl::StrCat("load encoder ", folder.name),
      [&]() -> absl::StatusOr<std::shared_ptr<const Encoder>> {
        const at::NoGradGuard no_grad;
        const at::TensorOptions layers = LayerOptions(options);
        std::shared_ptr<Encoder> encoder(new Encoder());
        encoder->tokenizer_ =
            std::make_shared<const Tokenizer>(std::move(tokenizer));
        TensorReader reader(folder.tensors);
        encoder->image_tower_ = LoadImageTower(config, layers, reader);
        const TextWeights text = TextWeights::Read(config, reader);
        const at::Tensor scale = reader.Read("logit_scale", {});
        reader.ExpectNothingElse();
        if (!reader.ok()) return reader.status();
        encoder->name_ = folder.name;
        encoder->config_ = config;
        encoder->options_ = options;
        encoder->parameters_ = reader.parameters();
        encoder->logit_scale_ = std::exp(scale.item<float>());
        encoder->text_tower_ = std::make_shared<const TextTower>(text, layers);
        encoder->digest_ = folder.digest.get();
        return encoder;
      });
}

absl::StatusOr<std::shared_ptr<const Encoder>> Encoder::WithImageTower(
    const weights::Safetensors& tower, const std::string& tower_digest) const {
  return Guarded(absl::StrCat("load an image tower for encoder ", name_),
                 [&]() -> absl::StatusOr<std::shared_ptr<const Encoder>> {
                   const at::NoGradGuard no_grad;
                   TensorReader reader(tower);
                   std::unique_ptr<const ImageTower> image_tower =
                       LoadImageTower(config_, LayerOptions(options_), reader);
                   reader.ExpectNothingElse();
                   if (!reader.ok()) return reader.status();
                   std::shared_ptr<Encoder> encoder(new Encoder());
                   encoder->name_ = name_;
                   encoder->digest_ =
                       Sha256Hex(absl::StrCat("promptd image tower\n", digest_,
                                              "\n", tower_digest, "\n"));
                   encoder->config_ = config_;
                   encoder->options_ = options_;
                   encoder->parameters_ = parameters_;
                   encoder->logit_scale_ = logit_scale_;
                   encoder->tokenizer_ = tokenizer_;
                   encoder->image_tower_ = std::move(image_tower);
                   encoder->text_tower_ = text_tower_;
                   return encoder;
                 });
}

absl::StatusOr<FloatTensor> Encoder::EncodeImages(
    const FloatTensor& pixels) const {
  RETURN_IF_ERROR(CheckPixelShape(pixels.shape, config_.vision.image_size));
  const int64_t side = config_.vision.image_size;
  if (static_cast<int64_t>(pixels.values.size()) / (3 * side * side) !=
      pixels.shape[0]) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
                     "pixels do not fill their shape");
  }
  return Guarded("encode images", [&]() -> absl::StatusOr<FloatTensor> {
    const at::Tensor input = at::from_blob(
        const_cast<float*>(pixels.values.data()), pixels.shape, at::kFloat);
    ASSIGN_OR_RETURN(const at::Tensor output, EncodeImages(input));
    return ToFloatTensor(output);
  });
}

absl::StatusOr<at::Tensor> Encoder::EncodeImages(
    const at::Tensor& pixels) const {
  RETURN_IF_ERROR(
      CheckPixelShape(pixels.sizes().vec(), config_.vision.image_size));
  return Guarded("encode images", [&] {
    const at::NoGradGuard no_grad;
    const int64_t images = pixels.size(0);
    const int64_t slice = std::max<int64_t>(
        1, kMaxActivationBytes / image_tower_->activation_bytes());
    if (images <= slice || options_.device != "cpu")
      return image_tower_->Encode(pixels);
    std::vector<at::Tensor> features;
    for (int64_t first = 0; first < images; first += slice) {
      features.push_back(image_tower_->Encode(
          pixels.narrow(0, first, std::min(slice, images - first))));
    }
    return at::cat(features);
  });
}

at::Tensor Encoder::NewPixels(int64_t batch) const {
  const int64_t side = config_.vision.image_size;
  return at::empty(
      {batch, 3, side, side},
      at::TensorOptions(at::kFloat).pinned_memory(options_.device != "cpu"));
}

}  // namespace promptd::clip

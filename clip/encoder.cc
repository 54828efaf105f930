#include "clip/encoder.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
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
#include "clip/pass_size.h"
#include "clip/side_by_side.h"
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
  return EncodeBatch(pixels.size(0), [&](int64_t first, int64_t count) {
    return pixels.narrow(0, first, count);
  });
}

absl::StatusOr<at::Tensor> Encoder::EncodeImages(
    const std::vector<absl::Span<const float>>& images, int64_t batch) const {
  RETURN_IF_ERROR(CheckPixels(images, batch));
  return EncodeBatch(batch, [&](int64_t first, int64_t count) {
    return Gather(images, first, count);
  });
}

absl::StatusOr<at::Tensor> Encoder::EncodeBatch(int64_t images,
                                                PixelsOf pixels) const {
  return Guarded("encode images", [&] {
    const at::NoGradGuard no_grad;
    if (options_.device != "cpu") {
      return image_tower_->Encode(pixels(0, images));
    }
    at::Tensor features = at::empty({images, config_.embed_dim}, at::kFloat);
    const int64_t slice = std::max<int64_t>(
        1, kMaxActivationBytes / image_tower_->activation_bytes());
    const auto encode = [&](int64_t first, int64_t end) {
      while (first < end) {
        const int64_t count = PassSize(std::min(slice, end - first));
        features.narrow(0, first, count)
            .copy_(image_tower_->Encode(pixels(first, count)));
        first += count;
      }
    };
    const int64_t threads = at::get_num_threads();
    if (KeepBusy(threads, images)) {
      const int64_t parts = std::min(threads, images);
      RunSideBySide(parts, [&](int64_t part) {
        encode(images * part / parts, images * (part + 1) / parts);
      });
    } else {
      encode(0, images);
    }
    return features;
  });
}

absl::Status Encoder::CheckPixels(
    const std::vector<absl::Span<const float>>& images, int64_t batch) const {
  const int64_t side = config_.vision.image_size;
  RETURN_IF_ERROR(CheckPixelShape({batch, 3, side, side}, side));
  for (const absl::Span<const float> image : images) {
    if (static_cast<int64_t>(image.size()) == 3 * side * side) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
                     "pixels do not fill their shape");
  }
  return absl::OkStatus();
}

at::Tensor Encoder::Gather(const std::vector<absl::Span<const float>>& images,
                           int64_t first, int64_t count) const {
  const int64_t side = config_.vision.image_size;
  const auto filled = static_cast<int64_t>(images.size());
  at::Tensor pixels = NewPixels(count);
  for (int64_t row = 0; row < count; ++row) {
    const at::Tensor place = pixels.select(0, row);
    if (first + row < filled) {
      float* const values =
          const_cast<float*>(images[static_cast<size_t>(first + row)].data());
      place.copy_(at::from_blob(values, {3, side, side}, at::kFloat));
    } else {
      place.zero_();
    }
  }
  return pixels;
}

at::Tensor Encoder::NewPixels(int64_t count) const {
  const int64_t side = config_.vision.image_size;
  if (options_.device == "cpu") {
    return at::empty({count, 3, side, side}, LayerOptions(options_));
  }
  return at::empty({count, 3, side, side},
                   at::TensorOptions(at::kFloat).pinned_memory(true));
}

}  // namespace promptd::clip

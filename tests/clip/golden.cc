#include "tests/clip/golden.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <future>
#include <limits>

#include "absl/strings/str_cat.h"
#include "clip/host_floats.h"
#include "clip/plain_text_encoder.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "common/check.h"
#include "common/file.h"
#include "common/sha256.h"
#include "nlohmann/json.hpp"

namespace promptd::clip {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok())
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  PROMPTD_CHECK(value.ok());
  return *std::move(value);
}

std::vector<TokenRow> TokenRows(const weights::Safetensors& file) {
  const std::vector<int64_t>& shape = file.tensors().at("token_ids").shape;
  const absl::string_view bytes = Must(file.Bytes("token_ids"));
  std::vector<TokenRow> rows(shape[0], TokenRow(shape[1]));
  size_t offset = 0;
  for (TokenRow& row : rows) {
    for (int32_t& id : row) {
      int64_t value;
      std::memcpy(&value, bytes.data() + offset, sizeof(value));
      offset += sizeof(value);
      id = static_cast<int32_t>(value);
    }
  }
  return rows;
}

}  // namespace

Goldens LoadGoldens(const std::string& encoder) {
  const std::string path =
      absl::StrCat(GoldenDir(), "/", encoder, ".safetensors");
  const weights::Safetensors file = Must(weights::Safetensors::FromFile(path));
  const std::string weights = Must(ReadFile(
      absl::StrCat(EncoderPath(encoder), "/", weights::kEncoderWeightsFile),
      int64_t{1} << 33));
  if (file.metadata().at("weights_sha256") != Sha256Hex(weights)) {
    std::fprintf(stderr,
                 "%s was made for other weights: run "
                 "tools/goldens/make_embedded_goldens.py again\n",
                 path.c_str());
    std::abort();
  }
  Goldens goldens;
  goldens.pixels = Must(file.Floats("pixels"));
  goldens.image_features = Must(file.Floats("image_features"));
  goldens.text_features = Must(file.Floats("text_features"));
  if (file.tensors().count("transformers_image_features") > 0) {
    goldens.transformers_image_features =
        Must(file.Floats("transformers_image_features"));
    goldens.transformers_text_features =
        Must(file.Floats("transformers_text_features"));
  }
  goldens.logit_scale = Must(file.Floats("logit_scale_exp")).values[0];
  goldens.token_ids = TokenRows(file);
  goldens.texts = nlohmann::json::parse(file.metadata().at("texts"))
                      .get<std::vector<std::string>>();
  return goldens;
}

double RelativeError(const FloatTensor& a, const FloatTensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.shape != b.shape) return kInfinity;
  double difference = 0;
  double scale = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    if (!std::isfinite(a.values[i])) return kInfinity;
    difference =
        std::max<double>(difference, std::abs(a.values[i] - b.values[i]));
    scale = std::max<double>(scale, std::abs(b.values[i]));
  }
  return difference / scale;
}

std::shared_ptr<const Encoder> LoadEncoder(const std::string& name,
                                           Precision precision) {
  const auto folder = weights::EncoderFolder::Open(EncoderPath(name));
  if (!folder.ok()) return nullptr;
  const auto encoder = Encoder::Load(*folder, {precision});
  return encoder.ok() ? *encoder : nullptr;
}

OpenEncoder OpenEncoder::Read(const std::string& name) {
  const weights::EncoderFolder folder =
      Must(weights::EncoderFolder::Open(EncoderPath(name)));
  OpenEncoder encoder;
  encoder.config = folder.config;
  encoder.merges = folder.merges;
  for (const auto& [tensor, record] : folder.tensors.tensors()) {
    if (record.dtype == weights::DType::kI64) continue;
    encoder.tensors[tensor] = Must(folder.tensors.Floats(tensor));
  }
  return encoder;
}

weights::EncoderFolder OpenEncoder::Folder() const {
  std::string bytes = Must(weights::WriteSafetensors(tensors));
  std::promise<std::string> digest;
  digest.set_value(std::string(64, '0'));
  return {"altered",
          digest.get_future().share(),
          false,
          {},
          config,
          Must(weights::Safetensors::FromBytes(std::move(bytes), "altered")),
          merges};
}

absl::StatusOr<std::shared_ptr<const Encoder>> OpenEncoder::Load() const {
  return Encoder::Load(Folder());
}

FloatTensor PlainTextFeatures(const weights::EncoderFolder& folder,
                              const std::vector<TokenRow>& rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::zeros(
      {static_cast<int64_t>(rows.size()), folder.config.text.context_length},
      at::kLong);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy(rows[i].begin(), rows[i].end(),
              ids.select(0, static_cast<int64_t>(i)).data_ptr<int64_t>());
  }
  const TextWeights weights =
      Must(TextWeights::Load(folder.config, folder.tensors));
  return ToFloatTensor(EncodeTokens(weights, ids));
}

FloatTensor PackedTextFeatures(const Encoder& encoder,
                               const std::vector<TokenRow>& rows) {
  return ToFloatTensor(Must(EncodeTexts(encoder.text_tower(), rows)));
}

}  // namespace promptd::clip

#include "worker/prompt_features.h"

#include <cmath>

#include <ATen/core/Tensor.h>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/prompt_batch.h"
#include "clip/torch_status.h"
#include "common/check.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

// Returns the length that the row had.
float Normalize(absl::Span<float> row) {
  double square = 0;
  for (const float value : row) square += double{value} * value;
  const double norm = std::sqrt(square);
  const double inverse = square > 0 ? 1.0 / norm : 0;
  for (float& value : row) value = static_cast<float>(value * inverse);
  return static_cast<float>(norm);
}

}  // namespace

datasets::PreprocessOptions PreprocessOptionsOf(const clip::Encoder& encoder) {
  datasets::PreprocessOptions options;
  options.size = encoder.config().vision.image_size;
  options.mean = encoder.config().preprocess.mean;
  options.std = encoder.config().preprocess.std;
  return options;
}

absl::StatusOr<std::vector<float>> EncodeImageBatch(
    const clip::Encoder& encoder,
    const std::vector<absl::Span<const float>>& images, int batch_size) {
  PROMPTD_CHECK(!images.empty() &&
                images.size() <= static_cast<size_t>(batch_size));
  ASSIGN_OR_RETURN(const at::Tensor features,
                   encoder.EncodeImages(images, batch_size));
  return clip::Guarded("encode images", [&] {
    return clip::ToFloatTensor(
               features.narrow(0, 0, static_cast<int64_t>(images.size())))
        .values;
  });
}

absl::StatusOr<FloatTensor> EncodeTokens(
    const clip::Encoder& encoder,
    const std::vector<std::vector<int32_t>>& token_rows) {
  ASSIGN_OR_RETURN(
      const at::Tensor features,
      clip::Guarded("encode texts", [&]() -> absl::StatusOr<at::Tensor> {
        return clip::EncodeTexts(encoder.text_tower(), token_rows);
      }));
  return clip::ToFloatTensor(features);
}

absl::StatusOr<FloatTensor> EncodeTexts(const clip::Encoder& encoder,
                                        const std::vector<std::string>& texts) {
  std::vector<clip::TokenRow> rows;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(rows.emplace_back(),
                     encoder.tokenizer().EncodeWithMarkers(
                         text, encoder.config().text.context_length));
  }
  ASSIGN_OR_RETURN(FloatTensor features, EncodeTokens(encoder, rows));
  NormalizeRows(&features);
  return features;
}

void NormalizeRows(FloatTensor* rows) {
  const size_t width = static_cast<size_t>(rows->shape[1]);
  const absl::Span<float> values = absl::MakeSpan(rows->values);
  for (size_t begin = 0; begin < values.size(); begin += width) {
    Normalize(values.subspan(begin, width));
  }
}

Embedding NormalizedFeature(absl::Span<const float> feature) {
  Embedding embedding;
  embedding.values.assign(feature.begin(), feature.end());
  embedding.norm = Normalize(absl::MakeSpan(embedding.values));
  return embedding;
}

}  // namespace promptd::worker

// The computations on an encoder that classification and training share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/float_tensor.h"
#include "datasets/preprocess.h"
#include "worker/executor.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

datasets::PreprocessOptions PreprocessOptionsOf(const clip::Encoder& encoder);

// Encodes preprocessed images, each [3, S, S], in one batch of `batch_size`
// rows; missing rows are zeros. Returns [images.size() * E] without the rows
// of padding; features are not normalised. Only on threads that compute, as all
// that takes an encoder here (device_loop.h).
absl::StatusOr<std::vector<float>> EncodeImageBatch(
    const clip::Encoder& encoder,
    const std::vector<absl::Span<const float>>& images, int batch_size);

// Features [N, E] of tokenised texts, SOT ... EOT each; not normalised.
absl::StatusOr<FloatTensor> EncodeTokens(
    const clip::Encoder& encoder,
    const std::vector<std::vector<int32_t>>& token_rows);

// Text features [C, E] of finished texts, rows of unit length.
// INVALID_ARGUMENT (TEXT_TOO_LONG, BAD_UTF8).
absl::StatusOr<FloatTensor> EncodeTexts(const clip::Encoder& encoder,
                                        const std::vector<std::string>& texts);

// Scales each row of a matrix to unit length; a row of zeros stays.
void NormalizeRows(FloatTensor* rows);
// A feature [E] as unit vector and length; zeros stay zeros.
Embedding NormalizedFeature(absl::Span<const float> feature);

}  // namespace promptd::worker

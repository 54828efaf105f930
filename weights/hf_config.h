// The configuration files of Hugging Face's CLIPModel. No torch.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/encoder_config.h"

namespace promptd::weights {

// config.json in open_clip's terms; members that are not there have the
// library's defaults. OpenAI's mean and deviation are set. What this build
// cannot compute is refused: other activations, ratios, norms or markers than
// CLIP's. INVALID_ARGUMENT (BAD_HF_CONFIG) names every problem; `source` is
// the file's path.
absl::StatusOr<EncoderConfig> ParseHuggingFaceConfig(absl::string_view json,
                                                     absl::string_view source);

// Mean and deviation of preprocessor_config.json, or of the image processor in
// a processor_config.json, into `config`. Everything else in it must say what
// CLIP does: bicubic to the shortest side, centre crop, RGB, values in 0..1.
// INVALID_ARGUMENT (BAD_HF_CONFIG) as above.
absl::Status ReadHuggingFacePreprocessor(absl::string_view json,
                                         absl::string_view source,
                                         EncoderConfig& config);

// OpenAI's mean and deviation, which most checkpoints share.
PreprocessConfig OpenAiPreprocess();

}  // namespace promptd::weights

// Features of open_clip and of transformers for the tests, and encoders that
// may be altered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clip/encoder.h"
#include "clip/prompt_layout.h"
#include "common/float_tensor.h"
#include "tests/clip/golden_paths.h"
#include "weights/encoder_config.h"
#include "weights/encoder_folder.h"

namespace promptd::clip {

struct Goldens {
  FloatTensor pixels;               // [B, 3, S, S]
  FloatTensor image_features;       // [B, E]
  std::vector<TokenRow> token_ids;  // T rows of L
  std::vector<std::string> texts;   // of the first rows
  FloatTensor text_features;        // [T, E]
  // The same from transformers; empty but for random vision transformers.
  FloatTensor transformers_image_features;
  FloatTensor transformers_text_features;
  float logit_scale = 0;
};

// Aborts the test binary when the goldens are missing or of other weights.
Goldens LoadGoldens(const std::string& encoder);

// What an encoder may differ from open_clip by: sums of a ResNet's folded
// norms round differently.
inline constexpr double kTextTolerance = 1e-5;
inline double ImageTolerance(const weights::EncoderConfig& config) {
  return config.vision.is_resnet() ? 1e-4 : 1e-5;
}

// max |a - b| / max |b|; infinity when the shapes differ or a is not finite.
double RelativeError(const FloatTensor& a, const FloatTensor& b);

// Null when there is none of that name, or it cannot be loaded.
std::shared_ptr<const Encoder> LoadEncoder(
    const std::string& name, Precision precision = Precision::kFloat32);

// Everything an encoder is made of, open to change.
struct OpenEncoder {
  weights::EncoderConfig config;
  std::map<std::string, FloatTensor> tensors;
  std::string merges;

  static OpenEncoder Read(const std::string& name);
  FloatTensor& at(const std::string& tensor) { return tensors.at(tensor); }
  weights::EncoderFolder Folder() const;
  absl::StatusOr<std::shared_ptr<const Encoder>> Load() const;
};

// The plain 77-token forward, and the packed one without a context.
FloatTensor PlainTextFeatures(const weights::EncoderFolder& folder,
                              const std::vector<TokenRow>& rows);
FloatTensor PackedTextFeatures(const Encoder& encoder,
                               const std::vector<TokenRow>& rows);

}  // namespace promptd::clip

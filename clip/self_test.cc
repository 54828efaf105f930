#include "clip/self_test.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/prompt_batch.h"
#include "clip/torch_status.h"
#include "common/status_macros.h"

namespace promptd::clip {
namespace {

constexpr int64_t kSquaresPerSide = 8;

// Numerical Recipes' generator; its upper byte is the level.
class Levels {
 public:
  explicit Levels(uint32_t seed) : state_(seed) {}
  uint8_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<uint8_t>(state_ >> 24);
  }

 private:
  uint32_t state_;
};

// One image, [3, S, S], of squares of `cell` pixels; levels are drawn channel
// by channel, row by row.
void AppendImage(const weights::EncoderConfig& config, uint32_t seed,
                 int64_t cell, std::vector<float>& pixels) {
  const int64_t side = config.vision.image_size;
  const int64_t squares = (side + cell - 1) / cell;
  Levels levels(seed);
  for (size_t channel = 0; channel < 3; ++channel) {
    std::vector<float> grid(static_cast<size_t>(squares * squares));
    for (float& value : grid) {
      value = (static_cast<float>(levels.Next()) / 255.0f -
               config.preprocess.mean[channel]) /
              config.preprocess.std[channel];
    }
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        pixels.push_back(grid[y / cell * squares + x / cell]);
      }
    }
  }
}

// As open_clip cuts: the first ids that fit, then the end.
absl::StatusOr<TokenRow> CutTokens(const Encoder& encoder,
                                   const std::string& text) {
  const Tokenizer& tokenizer = encoder.tokenizer();
  ASSIGN_OR_RETURN(TokenRow ids, tokenizer.Encode(text));
  const auto room =
      static_cast<size_t>(encoder.config().text.context_length - 2);
  ids.resize(std::min(ids.size(), room));
  ids.insert(ids.begin(), tokenizer.sot_id());
  ids.push_back(tokenizer.eot_id());
  return ids;
}

absl::StatusOr<FloatTensor> TextFeatures(const Encoder& encoder) {
  std::vector<TokenRow> rows;
  for (const std::string& text : SelfTestTexts()) {
    ASSIGN_OR_RETURN(rows.emplace_back(), CutTokens(encoder, text));
  }
  return Guarded("encode texts", [&]() -> absl::StatusOr<FloatTensor> {
    ASSIGN_OR_RETURN(const at::Tensor output,
                     EncodeTexts(encoder.text_tower(), rows));
    return ToFloatTensor(output);
  });
}

// The cosine of two rows of `width` numbers; 0 where one has no length.
double Cosine(const float* a, const float* b, size_t width) {
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < width; ++i) {
    dot += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  const double cosine = dot / std::sqrt(aa * bb);
  return std::isfinite(cosine) ? cosine : 0;
}

double Deviation(const FloatTensor& a, const FloatTensor& b) {
  double difference = 0;
  double scale = 0;
  for (size_t i = 0; i < b.values.size(); ++i) {
    if (!std::isfinite(a.values[i]) || !std::isfinite(b.values[i])) {
      return std::numeric_limits<double>::infinity();
    }
    difference =
        std::max(difference, std::abs(double{a.values[i]} - b.values[i]));
    scale = std::max(scale, std::abs(double{b.values[i]}));
  }
  return scale > 0 ? difference / scale
                   : std::numeric_limits<double>::infinity();
}

// Both [vectors, E]; another shape fails.
weights::SelfTestCheck Compare(std::string subject, const FloatTensor& now,
                               const FloatTensor& golden,
                               const weights::SelfTestLimits& limits) {
  weights::SelfTestCheck check;
  check.subject = std::move(subject);
  check.vectors = static_cast<int>(golden.shape[0]);
  check.limits = limits;
  check.deviation = std::numeric_limits<float>::infinity();
  if (now.shape != golden.shape) return check;
  const auto width = static_cast<size_t>(golden.shape[1]);
  double cosine = 1;
  for (size_t at = 0; at < golden.values.size(); at += width) {
    cosine =
        std::min(cosine, Cosine(&now.values[at], &golden.values[at], width));
  }
  check.cosine = static_cast<float>(cosine);
  check.deviation = static_cast<float>(Deviation(now, golden));
  check.passed = check.deviation <= check.limits.deviation &&
                 check.cosine >= check.limits.cosine;
  return check;
}

}  // namespace

weights::SelfTestLimits SelfTestTolerance(Precision precision) {
  if (precision == Precision::kBFloat16) return {0.1f, 0.999f};
  return {1e-4f, 0.9999f};
}

FloatTensor SelfTestPixels(const Encoder& encoder) {
  const weights::EncoderConfig& config = encoder.config();
  const int64_t side = config.vision.image_size;
  FloatTensor pixels;
  pixels.shape = {weights::kSelfTestImages, 3, side, side};
  AppendImage(config, 1, 1, pixels.values);
  AppendImage(config, 2, std::max<int64_t>(1, side / kSquaresPerSide),
              pixels.values);
  return pixels;
}

const std::vector<std::string>& SelfTestTexts() {
  static const auto* const texts = [] {
    std::string cut;
    for (int i = 0; i < 16; ++i) {
      cut += "a photo of a red bird and a blue boat on the water, ";
    }
    return new std::vector<std::string>{
        "a photo of a cat.", cut,
        "cr\u00e8me br\u00fbl\u00e9e, Stra\u00dfe, \u00e5ngstr\u00f6m", ""};
  }();
  return *texts;
}

absl::StatusOr<weights::SelfTest> ComputeSelfTest(const Encoder& encoder,
                                                  std::string origin) {
  weights::SelfTest test;
  test.encoder_digest = encoder.digest();
  test.origin = std::move(origin);
  ASSIGN_OR_RETURN(test.image_features,
                   encoder.EncodeImages(SelfTestPixels(encoder)));
  ASSIGN_OR_RETURN(test.text_features, TextFeatures(encoder));
  return test;
}

std::vector<weights::SelfTestCheck> CompareSelfTest(
    const weights::SelfTest& now, const weights::SelfTest& golden,
    Precision precision) {
  const weights::SelfTestLimits limits = SelfTestTolerance(precision);
  return {Compare("image features", now.image_features, golden.image_features,
                  limits),
          Compare("text features", now.text_features, golden.text_features,
                  limits)};
}

}  // namespace promptd::clip

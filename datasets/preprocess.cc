#include "datasets/preprocess.h"

#include <array>

#include "common/status_macros.h"

namespace promptd::datasets {
namespace {

// round(excess / 2.0) of Python: 1.5 becomes 2, 2.5 becomes 2.
int HalfToEven(int excess) {
  const int half = excess / 2;
  return excess % 2 == 0 ? half : half + half % 2;
}

}  // namespace

ResizedWindow CenterWindow(int width, int height, int size) {
  const auto scaled = [size](int longer, int shorter) {
    return static_cast<int>(static_cast<int64_t>(size) * longer / shorter);
  };
  ResizedWindow window;
  window.width = window.height = size;
  window.resized_width = width <= height ? size : scaled(width, height);
  window.resized_height = width <= height ? scaled(height, width) : size;
  window.left = HalfToEven(window.resized_width - size);
  window.top = HalfToEven(window.resized_height - size);
  return window;
}

std::vector<float> NormalizePixels(const RgbImage& image,
                                   const PreprocessOptions& options) {
  const size_t pixels = static_cast<size_t>(image.width) * image.height;
  std::vector<float> planes(pixels * 3);
  for (size_t channel = 0; channel < 3; ++channel) {
    const float mean = options.mean[channel];
    const float deviation = options.std[channel];
    // There are but so many levels: two divisions a level, not a pixel.
    std::array<float, 256> normalized;
    for (size_t level = 0; level < normalized.size(); ++level) {
      normalized[level] =
          (static_cast<float>(level) / 255.0f - mean) / deviation;
    }
    float* const plane = planes.data() + channel * pixels;
    const uint8_t* const levels = image.rgb.data() + channel;
    for (size_t i = 0; i < pixels; ++i) plane[i] = normalized[levels[i * 3]];
  }
  return planes;
}

absl::StatusOr<std::vector<float>> PreprocessImage(
    absl::string_view encoded, const PreprocessOptions& options) {
  ASSIGN_OR_RETURN(const RgbImage image, DecodeImage(encoded, options.limits));
  const ResizedWindow window =
      CenterWindow(image.width, image.height, options.size);
  return NormalizePixels(ResampleBicubic(image, window), options);
}

}  // namespace promptd::datasets

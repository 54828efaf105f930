#include "datasets/random_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/resample.h"

namespace promptd::datasets {
namespace {

constexpr double kLeastArea = 0.08;
constexpr double kMostArea = 1.0;
constexpr double kLeastRatio = 3.0 / 4.0;
constexpr double kMostRatio = 4.0 / 3.0;
constexpr int kTries = 10;
constexpr double kFlips = 0.5;

Random GeneratorOf(absl::string_view digest, int view) {
  const std::string seed =
      Sha256Hex(absl::StrCat("promptd view 1\n", digest, "\n", view, "\n"));
  uint64_t first = 0;
  PROMPTD_CHECK(absl::SimpleHexAtoi(seed.substr(0, 16), &first));
  return Random(first);
}

double UniformBetween(double low, double high, Random* random) {
  return low + (high - low) * random->Uniform();
}

// Python's round(): halves to even, the default rounding mode.
int Rounded(double value) { return static_cast<int>(std::nearbyint(value)); }

// torchvision's way out when no try fits.
RandomView CentredCrop(int width, int height) {
  const double ratio = static_cast<double>(width) / height;
  RandomView view;
  view.width = width;
  view.height = height;
  if (ratio < kLeastRatio) view.height = Rounded(width / kLeastRatio);
  if (ratio > kMostRatio) view.width = Rounded(height * kMostRatio);
  view.left = (width - view.width) / 2;
  view.top = (height - view.height) / 2;
  return view;
}

RandomView DrawCrop(int width, int height, Random* random) {
  const double area = static_cast<double>(width) * height;
  for (int i = 0; i < kTries; ++i) {
    const double target = area * UniformBetween(kLeastArea, kMostArea, random);
    const double ratio = std::exp(
        UniformBetween(std::log(kLeastRatio), std::log(kMostRatio), random));
    RandomView view;
    view.width = Rounded(std::sqrt(target * ratio));
    view.height = Rounded(std::sqrt(target / ratio));
    if (view.width < 1 || view.width > width || view.height < 1 ||
        view.height > height) {
      continue;
    }
    const auto below = [random](int bound) {
      return static_cast<int>(random->Below(static_cast<uint64_t>(bound)));
    };
    view.top = below(height - view.height + 1);
    view.left = below(width - view.width + 1);
    return view;
  }
  return CentredCrop(width, height);
}

RgbImage Crop(const RgbImage& image, const RandomView& view) {
  RgbImage crop{view.width, view.height, {}};
  const size_t row = static_cast<size_t>(view.width) * 3;
  crop.rgb.reserve(row * static_cast<size_t>(view.height));
  for (int y = 0; y < view.height; ++y) {
    const auto from =
        image.rgb.begin() +
        (static_cast<ptrdiff_t>(view.top + y) * image.width + view.left) * 3;
    crop.rgb.insert(crop.rgb.end(), from, from + static_cast<ptrdiff_t>(row));
  }
  return crop;
}

void Mirror(RgbImage* image) {
  for (int y = 0; y < image->height; ++y) {
    uint8_t* left =
        image->rgb.data() + static_cast<size_t>(y) * image->width * 3;
    uint8_t* right = left + (static_cast<size_t>(image->width) - 1) * 3;
    for (; left < right; left += 3, right -= 3) {
      std::swap_ranges(left, left + 3, right);
    }
  }
}

}  // namespace

RandomView DrawView(absl::string_view digest, int view, int width, int height) {
  Random random = GeneratorOf(digest, view);
  RandomView drawn = DrawCrop(width, height, &random);
  drawn.flip = random.Uniform() < kFlips;
  return drawn;
}

RgbImage RenderView(const RgbImage& image, const RandomView& view, int size) {
  PROMPTD_CHECK(view.left >= 0 && view.top >= 0 && view.width > 0 &&
                view.height > 0 && view.left + view.width <= image.width &&
                view.top + view.height <= image.height);
  RgbImage square =
      ResampleBicubic(Crop(image, view), {size, size, 0, 0, size, size});
  if (view.flip) Mirror(&square);
  return square;
}

absl::StatusOr<std::vector<float>> PreprocessView(
    absl::string_view encoded, absl::string_view digest, int view,
    const PreprocessOptions& options) {
  ASSIGN_OR_RETURN(const RgbImage image, DecodeImage(encoded, options.limits));
  const RandomView drawn = DrawView(digest, view, image.width, image.height);
  return NormalizePixels(RenderView(image, drawn, options.size), options);
}

}  // namespace promptd::datasets

#include "datasets/resample.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/check.h"
#include "datasets/resample_passes.h"

namespace promptd::datasets {
namespace {

constexpr int kChannels = 3;
constexpr double kSupport = 2.0;  // the bicubic kernel is zero outside +-2
// Keys' cubic convolution kernel with a = -0.5.
double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// Taps of outputs [begin, begin + count) when `in_size` samples become
// `out_size`. When shrinking, the kernel is stretched by the ratio, which is
// the antialiasing. Samples beyond an edge are left out and the weights of the
// others scaled to sum to one.
std::vector<Taps> MakeTaps(int in_size, int out_size, int begin, int count) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double stretch = std::max(scale, 1.0);
  const double support = kSupport * stretch;
  const double shrink = 1.0 / stretch;
  std::vector<Taps> taps(static_cast<size_t>(count));
  std::vector<double> weights;
  for (int i = 0; i < count; ++i) {
    const double center = (begin + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int last =
        std::min(static_cast<int>(center + support + 0.5), in_size);
    weights.clear();
    double sum = 0.0;
    for (int x = first; x < last; ++x) {
      weights.push_back(Bicubic((x - center + 0.5) * shrink));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    tap.weights.reserve(weights.size());
    for (double weight : weights) {
      if (sum != 0.0) weight /= sum;
      weight *= 1 << kFractionBits;
      tap.weights.push_back(
          static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5));
    }
  }
  return taps;
}

// The first source sample that `taps` name; they count from it afterwards.
int CountFromFirst(std::vector<Taps>* taps) {
  const int first = taps->front().first;
  for (Taps& tap : *taps) tap.first -= first;
  return first;
}

size_t SamplesUsed(const std::vector<Taps>& taps) {
  return static_cast<size_t>(taps.back().first) + taps.back().weights.size();
}

// Pillow 13's rule: from top to bottom first when the height loses more than
// twice as many pixels as the width. Before 13 it never did.
bool ShrinksHeightFirst(const RgbImage& image, const ResizedWindow& window) {
  const int lost_height = image.height - window.resized_height;
  const int lost_width = image.width - window.resized_width;
  return lost_height > 0 && lost_height > lost_width * 2;
}

}  // namespace

// Each pass rounds to bytes, so their order is part of the result. A pass that
// would not change the size has the identity as its only tap, so it needs no
// special case.
RgbImage ResampleBicubic(const RgbImage& image, const ResizedWindow& window,
                         bool fast) {
  PROMPTD_CHECK(image.width > 0 && image.height > 0 && window.width > 0 &&
                window.height > 0 && window.left >= 0 && window.top >= 0 &&
                window.left + window.width <= window.resized_width &&
                window.top + window.height <= window.resized_height);
  fast = fast && HasFastPasses();
  std::vector<Taps> columns =
      MakeTaps(image.width, window.resized_width, window.left, window.width);
  std::vector<Taps> rows =
      MakeTaps(image.height, window.resized_height, window.top, window.height);
  const int left = CountFromFirst(&columns);
  const int top = CountFromFirst(&rows);
  const size_t used_width = SamplesUsed(columns);
  const size_t used_height = SamplesUsed(rows);
  const RowPass row_pass(std::move(columns), fast);
  const size_t in_stride = static_cast<size_t>(image.width) * kChannels;
  const size_t out_stride = static_cast<size_t>(window.width) * kChannels;
  const uint8_t* const source = image.rgb.data() +
                                static_cast<size_t>(top) * in_stride +
                                static_cast<size_t>(left) * kChannels;
  RgbImage out{window.width, window.height, {}};
  out.rgb.resize(out_stride * rows.size());
  if (ShrinksHeightFirst(image, window)) {
    const size_t stride = used_width * kChannels;
    std::vector<uint8_t> row(stride);
    for (size_t y = 0; y < rows.size(); ++y) {
      RunColumns(source, in_stride, rows[y], stride, fast, row.data());
      row_pass.Run(row.data(), stride, out.rgb.data() + y * out_stride);
    }
    return out;
  }
  const uint8_t* const end = image.rgb.data() + image.rgb.size();
  std::vector<uint8_t> narrowed(out_stride * used_height);
  for (size_t y = 0; y < used_height; ++y) {
    const uint8_t* const row = source + y * in_stride;
    row_pass.Run(row, static_cast<size_t>(end - row),
                 narrowed.data() + y * out_stride);
  }
  for (size_t y = 0; y < rows.size(); ++y) {
    RunColumns(narrowed.data(), out_stride, rows[y], out_stride, fast,
               out.rgb.data() + y * out_stride);
  }
  return out;
}

}  // namespace promptd::datasets

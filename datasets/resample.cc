#include "datasets/resample.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"

namespace promptd::datasets {
namespace {

constexpr int kChannels = 3;
constexpr double kSupport = 2.0;  // the bicubic kernel is zero outside +-2
// A weight of 1.0 is 1 << 22: 32 bits less 8 of the pixel and 2 of headroom
// for the kernel's overshoot.
constexpr int kFractionBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// Keys' cubic convolution kernel with a = -0.5.
double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// The source samples that make one output sample, and their weights.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;  // fixed point
};

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

uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// One row of `taps.size()` pixels from a source row.
void ResampleRow(const uint8_t* source, const std::vector<Taps>& taps,
                 uint8_t* out) {
  for (const Taps& tap : taps) {
    int32_t red = kHalf, green = kHalf, blue = kHalf;
    const uint8_t* pixel = source + static_cast<ptrdiff_t>(tap.first) * 3;
    for (const int32_t weight : tap.weights) {
      red += pixel[0] * weight;
      green += pixel[1] * weight;
      blue += pixel[2] * weight;
      pixel += kChannels;
    }
    *out++ = ToByte(red);
    *out++ = ToByte(green);
    *out++ = ToByte(blue);
  }
}

// One row of the output from the rows of `source` that `tap` names, counted
// from `first_row`, the source row that `source` begins with.
void ResampleColumns(const std::vector<uint8_t>& source, size_t row_bytes,
                     int first_row, const Taps& tap, std::vector<int32_t>* sums,
                     uint8_t* out) {
  std::fill(sums->begin(), sums->end(), kHalf);
  const uint8_t* row =
      source.data() + static_cast<size_t>(tap.first - first_row) * row_bytes;
  int32_t* const sum = sums->data();
  for (const int32_t weight : tap.weights) {
    for (size_t i = 0; i < row_bytes; ++i) sum[i] += row[i] * weight;
    row += row_bytes;
  }
  for (size_t i = 0; i < row_bytes; ++i) out[i] = ToByte(sum[i]);
}

}  // namespace

// Columns first, rounded to bytes, then rows, as PIL does: the order and the
// rounding between are part of the result. A pass that would not change the
// size has the identity as its only tap, so it needs no special case.
RgbImage ResampleBicubic(const RgbImage& image, const ResizedWindow& window) {
  PROMPTD_CHECK(image.width > 0 && image.height > 0 && window.width > 0 &&
                window.height > 0 && window.left >= 0 && window.top >= 0 &&
                window.left + window.width <= window.resized_width &&
                window.top + window.height <= window.resized_height);
  const std::vector<Taps> columns =
      MakeTaps(image.width, window.resized_width, window.left, window.width);
  const std::vector<Taps> rows =
      MakeTaps(image.height, window.resized_height, window.top, window.height);
  const int first_row = rows.front().first;
  const int end_row =
      rows.back().first + static_cast<int>(rows.back().weights.size());
  const size_t in_row_bytes = static_cast<size_t>(image.width) * kChannels;
  const size_t row_bytes = static_cast<size_t>(window.width) * kChannels;

  std::vector<uint8_t> narrowed(row_bytes *
                                static_cast<size_t>(end_row - first_row));
  for (int y = first_row; y < end_row; ++y) {
    ResampleRow(
        image.rgb.data() + static_cast<size_t>(y) * in_row_bytes, columns,
        narrowed.data() + static_cast<size_t>(y - first_row) * row_bytes);
  }
  RgbImage out{window.width, window.height, {}};
  out.rgb.resize(row_bytes * static_cast<size_t>(window.height));
  std::vector<int32_t> sums(row_bytes);
  for (size_t y = 0; y < rows.size(); ++y) {
    ResampleColumns(narrowed, row_bytes, first_row, rows[y], &sums,
                    out.rgb.data() + y * row_bytes);
  }
  return out;
}

}  // namespace promptd::datasets

#include "worker/resident_head.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/check.h"

namespace promptd::worker {
namespace {

constexpr float kLargest = 32767;

// Returns the scale.
float CompactRow(absl::Span<const float> row, int16_t* out) {
  float largest = 0;
  for (const float weight : row) largest = std::max(largest, std::abs(weight));
  const float scale = largest / kLargest;
  for (size_t i = 0; i < row.size(); ++i) {
    out[i] = scale == 0 ? int16_t{0}
                        : static_cast<int16_t>(std::lround(row[i] / scale));
  }
  return scale;
}

double LengthOf(absl::Span<const float> row) {
  double square = 0;
  for (const float weight : row) square += double{weight} * weight;
  return std::sqrt(square);
}

}  // namespace

ResidentHead::ResidentHead(const ClassHead& head)
    : cosine_(head.cosine),
      image_tower_(head.image_tower),
      temperature_(head.temperature),
      biases_(head.bias.values) {
  PROMPTD_CHECK(head.weights.shape.size() == 2);
  const size_t classes = static_cast<size_t>(head.weights.shape[0]);
  width_ = static_cast<size_t>(head.weights.shape[1]);
  rows_.resize(classes * width_);
  scales_.resize(classes);
  for (size_t c = 0; c < classes; ++c) {
    const absl::Span<const float> row(head.weights.values.data() + c * width_,
                                      width_);
    scales_[c] = CompactRow(row, rows_.data() + c * width_);
    if (cosine_) continue;
    const double length = LengthOf(row);
    inverse_lengths_.push_back(length > 0 ? static_cast<float>(1.0 / length)
                                          : 0.0f);
  }
}

// Eight sums side by side: the compiler makes vector instructions of them, and
// each is short enough for float32.
double ResidentHead::Dot(size_t class_index,
                         absl::Span<const float> feature) const {
  constexpr size_t kLanes = 8;
  const int16_t* row = rows_.data() + class_index * width_;
  const float* values = feature.data();
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= width_; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += values[i + lane] * static_cast<float>(row[i + lane]);
    }
  }
  double dot = std::accumulate(sums, sums + kLanes, 0.0);
  for (; i < width_; ++i) dot += double{values[i]} * row[i];
  return dot * scales_[class_index];
}

int64_t ResidentHead::bytes() const {
  return static_cast<int64_t>(
      sizeof(*this) + rows_.capacity() * sizeof(int16_t) +
      (scales_.capacity() + inverse_lengths_.capacity() + biases_.capacity()) *
          sizeof(float));
}

}  // namespace promptd::worker

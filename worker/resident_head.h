// A head as it stays in memory: rows of 16-bit numbers, each row with a scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/class_head.h"

namespace promptd::worker {

// Made once, then constant. A weight is kept as the nearest multiple of
// max |row| / 32767, so that a product with a feature f is off by at most
// max |row| / 65534 times the sum of |f| (docs/numerics.md).
class ResidentHead {
 public:
  // `head` is [C, E], finite.
  explicit ResidentHead(const ClassHead& head);

  size_t classes() const { return scales_.size(); }
  size_t width() const { return width_; }
  bool cosine() const { return cosine_; }
  // As in ClassHead.
  const std::string& image_tower() const { return image_tower_; }
  double temperature() const { return temperature_; }

  // The product of a class's row and a feature [E].
  double Dot(size_t class_index, absl::Span<const float> feature) const;
  // 1 / length of a row, as given; 1 where rows are of unit length.
  double InverseLength(size_t class_index) const {
    return cosine_ ? 1.0 : inverse_lengths_[class_index];
  }
  double Bias(size_t class_index) const {
    return biases_.empty() ? 0.0 : biases_[class_index];
  }

  // What it takes in memory.
  int64_t bytes() const;

 private:
  size_t width_ = 0;
  bool cosine_ = true;
  std::string image_tower_;
  double temperature_ = 1;
  std::vector<int16_t> rows_;           // [C, E]
  std::vector<float> scales_;           // [C]
  std::vector<float> inverse_lengths_;  // [C]; none of a cosine head
  std::vector<float> biases_;           // [C], or none
};

}  // namespace promptd::worker

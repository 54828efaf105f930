#include "worker/head.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/check.h"

namespace promptd::worker {

namespace {

double InverseLength(absl::Span<const float> vector) {
  double square = 0;
  for (const float value : vector) square += double{value} * value;
  return square > 0 ? 1.0 / std::sqrt(square) : 0;
}

// Classes by falling logit, then by index; the first `kept` of them.
std::vector<size_t> BestClasses(const std::vector<double>& logits,
                                size_t kept) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::partial_sort(order.begin(), order.begin() + kept, order.end(),
                    [&](size_t a, size_t b) {
                      if (logits[a] != logits[b]) return logits[a] > logits[b];
                      return a < b;
                    });
  order.resize(kept);
  return order;
}

}  // namespace

std::vector<Scored> RankClasses(absl::Span<const float> image_feature,
                                const ClassHead& head, float logit_scale,
                                int top_k) {
  const size_t width = image_feature.size();
  PROMPTD_CHECK(head.weights.shape.size() == 2 &&
                static_cast<size_t>(head.weights.shape[1]) == width);
  const size_t classes = static_cast<size_t>(head.weights.shape[0]);
  const double inverse_length = InverseLength(image_feature);

  std::vector<float> similarities(classes);
  std::vector<double> logits(classes);
  for (size_t c = 0; c < classes; ++c) {
    const absl::Span<const float> row(head.weights.values.data() + c * width,
                                      width);
    const double dot = std::inner_product(
        image_feature.begin(), image_feature.end(), row.begin(), 0.0);
    const double cosine = dot * inverse_length;
    similarities[c] =
        static_cast<float>(head.cosine ? cosine : cosine * InverseLength(row));
    logits[c] = head.cosine ? double{logit_scale} * similarities[c] : dot;
    if (!head.bias.values.empty()) logits[c] += head.bias.values[c];
  }
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const double logit : logits) total += std::exp(logit - highest);

  std::vector<Scored> scores;
  for (const size_t c : BestClasses(
           logits,
           std::min(classes, static_cast<size_t>(std::max(top_k, 1))))) {
    scores.push_back({.class_index = static_cast<int>(c),
                      .probability = static_cast<float>(
                          std::exp(logits[c] - highest) / total),
                      .similarity = similarities[c]});
  }
  return scores;
}

}  // namespace promptd::worker

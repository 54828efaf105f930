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
                                const ResidentHead& head, float logit_scale,
                                int top_k) {
  PROMPTD_CHECK(image_feature.size() == head.width());
  const size_t classes = head.classes();
  const double inverse_length = InverseLength(image_feature);

  std::vector<float> similarities(classes);
  std::vector<double> logits(classes);
  for (size_t c = 0; c < classes; ++c) {
    const double dot = head.Dot(c, image_feature);
    similarities[c] =
        static_cast<float>(dot * inverse_length * head.InverseLength(c));
    logits[c] = head.cosine() ? double{logit_scale} * similarities[c] : dot;
    logits[c] += head.Bias(c);
  }
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  const double inverse_temperature = 1 / head.temperature();
  const auto share = [&](double logit) {
    return std::exp((logit - highest) * inverse_temperature);
  };
  for (const double logit : logits) total += share(logit);

  const size_t kept =
      std::min(classes, static_cast<size_t>(std::max(top_k, 1)));
  std::vector<Scored> scores;
  scores.reserve(kept);
  for (const size_t c : BestClasses(logits, kept)) {
    scores.push_back(
        {.class_index = static_cast<int>(c),
         .probability = static_cast<float>(share(logits[c]) / total),
         .similarity = similarities[c]});
  }
  return scores;
}

}  // namespace promptd::worker

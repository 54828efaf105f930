#include "worker/head.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/check.h"

namespace promptd::worker {

std::vector<Scored> RankClasses(absl::Span<const float> image_feature,
                                const FloatTensor& text_features,
                                float logit_scale, int top_k) {
  const size_t width = image_feature.size();
  PROMPTD_CHECK(text_features.shape.size() == 2 &&
                static_cast<size_t>(text_features.shape[1]) == width);
  const size_t classes = static_cast<size_t>(text_features.shape[0]);

  double square = 0;
  for (const float value : image_feature) square += double{value} * value;
  const double inverse_norm = square > 0 ? 1.0 / std::sqrt(square) : 0;

  std::vector<Scored> scores(classes);
  double highest = -1e300;
  for (size_t c = 0; c < classes; ++c) {
    const float* row = text_features.values.data() + c * width;
    const double dot = std::inner_product(image_feature.begin(),
                                          image_feature.end(), row, 0.0);
    scores[c].class_index = static_cast<int>(c);
    scores[c].similarity = static_cast<float>(dot * inverse_norm);
    highest = std::max(highest, double{scores[c].similarity});
  }
  double total = 0;
  std::vector<double> weights(classes);
  for (size_t c = 0; c < classes; ++c) {
    weights[c] = std::exp(logit_scale * (scores[c].similarity - highest));
    total += weights[c];
  }
  for (size_t c = 0; c < classes; ++c) {
    scores[c].probability = static_cast<float>(weights[c] / total);
  }
  const size_t kept =
      std::min(classes, static_cast<size_t>(std::max(top_k, 1)));
  std::partial_sort(scores.begin(), scores.begin() + kept, scores.end(),
                    [](const Scored& a, const Scored& b) {
                      if (a.similarity != b.similarity) {
                        return a.similarity > b.similarity;
                      }
                      return a.class_index < b.class_index;
                    });
  scores.resize(kept);
  return scores;
}

}  // namespace promptd::worker

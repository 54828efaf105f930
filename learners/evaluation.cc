#include "learners/evaluation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "absl/types/span.h"
#include "common/error.h"

namespace promptd::learners {
namespace {

constexpr int kBins = 15;

absl::Status CheckInput(const FloatTensor& images,
                        const std::vector<int>& labels, const ClassHead& head) {
  const std::vector<int64_t>& weights = head.weights.shape;
  const bool shapes = images.shape.size() == 2 && weights.size() == 2 &&
                      images.shape[0] == static_cast<int64_t>(labels.size()) &&
                      images.shape[1] == weights[1] && !labels.empty() &&
                      weights[0] > 0 &&
                      (head.bias.shape.empty() ||
                       head.bias.shape == std::vector<int64_t>{weights[0]});
  const bool in_range =
      shapes && std::all_of(labels.begin(), labels.end(), [&](int label) {
        return label >= 0 && label < weights[0];
      });
  if (in_range) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_SCORING_INPUT",
                   "features, labels and classes do not fit together");
}

struct Answer {
  int class_index = 0;
  double confidence = 0;
};

// The most probable class of one image.
Answer AnswerOf(absl::Span<const float> image, const ClassHead& head,
                double scale) {
  const size_t width = image.size();
  double factor = 1;
  if (head.cosine) {
    const double square =
        std::inner_product(image.begin(), image.end(), image.begin(), 0.0);
    factor = square > 0 ? scale / std::sqrt(square) : 0;
  }
  std::vector<double> logits(static_cast<size_t>(head.weights.shape[0]));
  for (size_t c = 0; c < logits.size(); ++c) {
    logits[c] = factor * std::inner_product(
                             image.begin(), image.end(),
                             head.weights.values.begin() + c * width, 0.0);
    if (!head.bias.shape.empty()) logits[c] += head.bias.values[c];
  }
  const auto best = std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const double logit : logits) total += std::exp(logit - *best);
  return {static_cast<int>(best - logits.begin()), 1 / total};
}

class Calibration {
 public:
  void Add(double confidence, bool correct) {
    const int bin = std::min(kBins - 1, static_cast<int>(confidence * kBins));
    confidence_[bin] += confidence;
    correct_[bin] += correct ? 1 : 0;
    ++images_;
  }
  double Error() const {
    double error = 0;
    for (int bin = 0; bin < kBins; ++bin) {
      error += std::abs(confidence_[bin] - correct_[bin]);
    }
    return error / images_;
  }

 private:
  std::array<double, kBins> confidence_{};
  std::array<double, kBins> correct_{};
  double images_ = 0;
};

void SummarizeConfusion(Scores* scores) {
  const size_t classes = scores->class_images.size();
  int64_t correct = 0;
  double f1_sum = 0;
  int64_t present = 0;
  for (size_t c = 0; c < classes; ++c) {
    const int64_t hits = scores->confusion[c * classes + c];
    int64_t answers = 0;
    for (size_t row = 0; row < classes; ++row) {
      answers += scores->confusion[row * classes + c];
    }
    correct += hits;
    const int64_t images = scores->class_images[c];
    if (images == 0) continue;
    ++present;
    scores->class_accuracy[c] = static_cast<double>(hits) / images;
    // 2 TP / (2 TP + FP + FN)
    f1_sum += 2.0 * hits / static_cast<double>(images + answers);
  }
  scores->accuracy = static_cast<double>(correct) / scores->images;
  scores->macro_f1 = f1_sum / present;
}

}  // namespace

absl::StatusOr<Scores> ScoreFeatures(const FloatTensor& image_features,
                                     const std::vector<int>& labels,
                                     const ClassHead& head, double scale) {
  const absl::Status checked = CheckInput(image_features, labels, head);
  if (!checked.ok()) return checked;
  const size_t classes = static_cast<size_t>(head.weights.shape[0]);
  const size_t width = static_cast<size_t>(image_features.shape[1]);
  Scores scores;
  scores.images = static_cast<int64_t>(labels.size());
  scores.class_images.resize(classes);
  scores.class_accuracy.resize(classes);
  scores.confusion.resize(classes * classes);
  Calibration calibration;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Answer answer = AnswerOf(
        absl::MakeConstSpan(image_features.values).subspan(i * width, width),
        head, scale);
    const size_t label = static_cast<size_t>(labels[i]);
    ++scores.class_images[label];
    ++scores
          .confusion[label * classes + static_cast<size_t>(answer.class_index)];
    calibration.Add(answer.confidence, answer.class_index == labels[i]);
  }
  scores.ece = calibration.Error();
  SummarizeConfusion(&scores);
  return scores;
}

}  // namespace promptd::learners

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
constexpr double kLeastTemperature = 0.01;
constexpr double kMostTemperature = 100;
constexpr double kTemperaturePrecision = 1e-6;  // of its logarithm

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

// [C] of one image.
std::vector<double> LogitsOf(absl::Span<const float> image,
                             const ClassHead& head, double scale) {
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
  return logits;
}

absl::Span<const float> RowOf(const FloatTensor& features, size_t row) {
  const size_t width = static_cast<size_t>(features.shape[1]);
  return absl::MakeConstSpan(features.values).subspan(row * width, width);
}

struct Answer {
  int class_index = 0;
  double confidence = 0;
};

// The most probable class of one image.
Answer AnswerOf(absl::Span<const float> image, const ClassHead& head,
                double scale) {
  const std::vector<double> logits = LogitsOf(image, head, scale);
  const auto best = std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const double logit : logits) {
    total += std::exp((logit - *best) / head.temperature);
  }
  return {static_cast<int>(best - logits.begin()), 1 / total};
}

// What FitTemperature makes least, by the logarithm of the temperature.
double TemperatureLoss(const std::vector<std::vector<double>>& logits,
                       const std::vector<int>& labels, double log_temperature) {
  const double inverse = std::exp(-log_temperature);
  double loss = log_temperature * log_temperature / 2;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double best = *std::max_element(logits[i].begin(), logits[i].end());
    double total = 0;
    for (const double logit : logits[i]) {
      total += std::exp((logit - best) * inverse);
    }
    const double right = logits[i][static_cast<size_t>(labels[i])];
    loss += std::log(total) - (right - best) * inverse;
  }
  return loss;
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
  Scores scores;
  scores.images = static_cast<int64_t>(labels.size());
  scores.class_images.resize(classes);
  scores.class_accuracy.resize(classes);
  scores.confusion.resize(classes * classes);
  Calibration calibration;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Answer answer = AnswerOf(RowOf(image_features, i), head, scale);
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

absl::StatusOr<double> FitTemperature(const FloatTensor& image_features,
                                      const std::vector<int>& labels,
                                      const ClassHead& head, double scale) {
  const absl::Status checked = CheckInput(image_features, labels, head);
  if (!checked.ok()) return checked;
  std::vector<std::vector<double>> logits;
  for (size_t i = 0; i < labels.size(); ++i) {
    logits.push_back(LogitsOf(RowOf(image_features, i), head, scale));
  }
  // Golden section; there is one minimum.
  double low = std::log(kLeastTemperature);
  double high = std::log(kMostTemperature);
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  while (high - low > kTemperaturePrecision) {
    const double left = high - ratio * (high - low);
    const double right = low + ratio * (high - low);
    if (TemperatureLoss(logits, labels, left) <
        TemperatureLoss(logits, labels, right)) {
      high = right;
    } else {
      low = left;
    }
  }
  return std::exp((low + high) / 2);
}

}  // namespace promptd::learners

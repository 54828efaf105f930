// How well the classes of a version classify image features. No torch.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/class_head.h"
#include "common/float_tensor.h"

namespace promptd::learners {

struct Scores {
  int64_t images = 0;
  double accuracy = 0;  // 0..1
  // Unweighted mean of F1 over the labels that occur, as scikit-learn's
  // f1_score(average="macro", labels=unique(labels)).
  double macro_f1 = 0;
  // Expected calibration error of the best class's probability, 15 bins of
  // equal width (Guo et al., 2017, equation 3).
  double ece = 0;
  std::vector<int64_t> class_images;   // [C]
  std::vector<double> class_accuracy;  // [C], 0 where there are no images
  std::vector<int64_t> confusion;      // [C, C], row: label, column: answer
};

// image_features [N, E] of any length, labels [N] in 0 .. C-1, the logits of
// `head` (common/class_head.h) with the encoder's `scale`. Ties go to the lower
// class. INVALID_ARGUMENT (BAD_SCORING_INPUT) when shapes or labels do not fit
// or there are no images. Pure.
absl::StatusOr<Scores> ScoreFeatures(const FloatTensor& image_features,
                                     const std::vector<int>& labels,
                                     const ClassHead& head, double scale);

// The temperature T of the logits z that calibrates the head's probabilities on
// images that it has not learned from: the least sum of cross-entropies of
// softmax(z / T) (Guo et al., 2017, section 4.2) and of log(T)^2 / 2, which
// keeps a few images that are all answered rightly from making it sure of
// everything. The head's own temperature is not looked at. Errors of
// ScoreFeatures. Pure.
absl::StatusOr<double> FitTemperature(const FloatTensor& image_features,
                                      const std::vector<int>& labels,
                                      const ClassHead& head, double scale);

}  // namespace promptd::learners

// A linear classifier on image features, without the text tower: the baseline
// of the CLIP and CoOp papers.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "learners/learner.h"

namespace promptd::learners {

// Multinomial logistic regression (logistic_fit.h) on features as the tower
// gives them. C is spec.inverse_regularization, or, where that is 0, chosen on
// the validation images (regularization_search.h), with fits that end where
// scikit-learn's do by default; the chosen one is then fitted to its optimum. A
// step is a fit, of 1000 iterations at most. The head is not cosine.
// INVALID_ARGUMENT: BAD_TRAINER_SPEC; BAD_TRAINING_DATA, also when a class has
// no image; NO_VALIDATION_IMAGES when there are none to choose C by.
absl::StatusOr<std::unique_ptr<Learner>> MakeLinearProbe(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data);

}  // namespace promptd::learners

// Zero-shot classification with a learned bias for every class: what CLIP's
// pre-training makes likelier than the task does is put right.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "learners/learner.h"

namespace promptd::learners {

// z_c = s cos(f, t_c) + b_c with the zero-shot weights t (text_ensemble.h) and
// the encoder's scale s; b minimises, over the training images,
//   sum_i CE(z_i, label_i) + kPriorPenalty / 2 |b|^2.
// The penalty picks one b of all that differ by a constant, and keeps it finite
// where the images would not. Units: the texts, then L-BFGS on cosines that are
// computed once (logistic_fit.h). One fit is the one step. The head is t and b.
// INVALID_ARGUMENT: BAD_TRAINER_SPEC, BAD_TRAINING_DATA.
inline constexpr double kPriorPenalty = 0.01;

absl::StatusOr<std::unique_ptr<Learner>> MakeClassPrior(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data);

}  // namespace promptd::learners

// Zero-shot classification: nothing is learned from images.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "learners/learner.h"

namespace promptd::learners {

// Done at once; the head is the mean text features over spec.text_templates
// (text_ensemble.h), whose units are the head's. Looks at the class names only.
// INVALID_ARGUMENT: BAD_TRAINER_SPEC, BAD_TRAINING_DATA, as TextEnsemble.
absl::StatusOr<std::unique_ptr<Learner>> MakeZeroShot(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    const TrainingData& data);

}  // namespace promptd::learners

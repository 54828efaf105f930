// Fine-tuning of the image tower: the way to adapt a CLIP that the CoOp paper
// compares with (section 3.6), in which nothing is shared between versions.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "learners/learner.h"

namespace promptd::learners {

// All of clip/trainable_image_tower.h learns by SGD as torch.optim.SGD does it,
// in the course of epochs.h, by the mean cross-entropy of scaled cosines to the
// classes' text features (text_ensemble.h), which stay; so does the scale. A
// step goes through the tower some images at a time, whose gradients add up to
// the batch's. The head is cosine; the parameters are the whole tower's.
// Same spec, data and machine: same bytes, whatever the interruptions.
// INVALID_ARGUMENT: BAD_TRAINER_SPEC, also for a selection by validation
// images; BAD_TRAINING_DATA; the codes of clip/torch_status.h.
absl::StatusOr<std::unique_ptr<Learner>> MakeImageTuning(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data);

}  // namespace promptd::learners

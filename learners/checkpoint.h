// The bytes of an interrupted training. No torch.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"
#include "learners/learner.h"

namespace promptd::learners {

// What a running epoch adds to the tensors.
struct EpochState {
  std::string random;        // Random::State at the epoch's start
  std::string random_after;  // behind its permutation; not stored
  double loss_sum = 0;
  int64_t correct = 0;
};

// What a selection by validation has seen.
struct BestEpoch {
  int validated = 0;    // epochs that were scored
  int epoch = 0;        // the best of them, from 1; 0: none yet
  int64_t correct = 0;  // validation images of its right answers
};

struct CheckpointContent {
  std::string identity;
  FloatTensor parameter;
  FloatTensor momentum;
  // Of a selection by validation; the shape is empty before the first epoch
  // and without one.
  FloatTensor best_parameter;
  BestEpoch best;
  EpochState epoch;
  LearnerProgress progress;
};

// SHA-256 over everything that the course of a training depends on.
std::string TrainingIdentity(const TrainerSpec& spec,
                             const std::string& encoder_digest,
                             const TrainingData& data);

// A safetensors file: "parameter", "momentum" and, where there is one,
// "best_parameter"; the rest as metadata.
absl::StatusOr<std::string> WriteCheckpoint(const CheckpointContent& content);
// DATA_LOSS (BAD_CHECKPOINT).
absl::StatusOr<CheckpointContent> ReadCheckpoint(absl::string_view bytes);

}  // namespace promptd::learners

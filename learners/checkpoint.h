// The bytes of an interrupted training. No torch.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"
#include "learners/trainer.h"

namespace promptd::learners {

// What a running epoch adds to the tensors.
struct EpochState {
  std::string random;        // Random::State at the epoch's start
  std::string random_after;  // behind its permutation; not stored
  double loss_sum = 0;
  int64_t correct = 0;
};

struct CheckpointContent {
  std::string identity;
  FloatTensor parameter;
  FloatTensor momentum;
  EpochState epoch;
  TrainerProgress progress;
};

// SHA-256 over everything that the course of a training depends on.
std::string TrainingIdentity(const TrainerSpec& spec,
                             const std::string& encoder_digest,
                             const TrainingData& data);

// A safetensors file: "parameter" and "momentum", the rest as metadata.
absl::StatusOr<std::string> WriteCheckpoint(const CheckpointContent& content);
// DATA_LOSS (BAD_CHECKPOINT).
absl::StatusOr<CheckpointContent> ReadCheckpoint(absl::string_view bytes);

}  // namespace promptd::learners

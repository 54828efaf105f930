// The bytes of an interrupted learner that fits instead of taking steps. A fit
// starts over after an interruption: what is kept are the finished ones. No
// torch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::learners {

struct FitCheckpoint {
  std::string identity;              // TrainingIdentity
  std::vector<int64_t> scored = {};  // RegularizationSearch::scored
  double loss = 0;                   // of the last finished fit
  double accuracy = 0;
};

// A safetensors file without tensors.
absl::StatusOr<std::string> WriteFitCheckpoint(const FitCheckpoint& content);
// DATA_LOSS (BAD_CHECKPOINT) when it cannot be read, FAILED_PRECONDITION
// (CHECKPOINT_MISMATCH) when its identity is another.
absl::StatusOr<FitCheckpoint> ReadFitCheckpoint(absl::string_view bytes,
                                                absl::string_view identity);

}  // namespace promptd::learners

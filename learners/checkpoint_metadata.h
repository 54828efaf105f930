// The metadata of a checkpoint: numbers that keep every bit, and a reader that
// remembers what was wrong. No torch.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace promptd::learners {

// DATA_LOSS (BAD_CHECKPOINT).
absl::Status BadCheckpoint(absl::string_view why);
// FAILED_PRECONDITION (CHECKPOINT_MISMATCH).
absl::Status CheckpointOfAnotherJob();

// The kinds of checkpoints there are.
inline constexpr char kStepsFormat[] = "promptd-checkpoint-1";
inline constexpr char kFitsFormat[] = "promptd-fits-1";

// Hexadecimal floats keep every bit.
std::string ExactText(double value);

// `members` must stay.
class CheckpointMetadata {
 public:
  explicit CheckpointMetadata(const std::map<std::string, std::string>& members)
      : members_(members) {}

  // OK when the "format" is `format`; CheckpointOfAnotherJob when it is the
  // other one, of a method that learns otherwise; else BadCheckpoint.
  absl::Status CheckFormat(absl::string_view format);
  std::string Text(const char* key);
  int64_t Whole(const char* key);  // not negative
  double Real(const char* key);
  // Empty when everything that was read was there.
  const std::string& problem() const { return problem_; }

 private:
  const std::map<std::string, std::string>& members_;
  std::string problem_;
};

}  // namespace promptd::learners

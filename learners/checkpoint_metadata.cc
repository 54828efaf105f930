#include "learners/checkpoint_metadata.h"

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"

namespace promptd::learners {

absl::Status BadCheckpoint(absl::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, "BAD_CHECKPOINT",
                   absl::StrCat("the checkpoint cannot be read: ", why));
}

absl::Status CheckpointOfAnotherJob() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "CHECKPOINT_MISMATCH",
                   "the checkpoint belongs to another job: its "
                   "specification, encoder, classes or images differ");
}

std::string ExactText(double value) { return absl::StrFormat("%a", value); }

absl::Status CheckpointMetadata::CheckFormat(absl::string_view format) {
  const std::string found = Text("format");
  if (found == format) return absl::OkStatus();
  if (found == kStepsFormat || found == kFitsFormat) {
    return CheckpointOfAnotherJob();
  }
  return BadCheckpoint("unknown format");
}

std::string CheckpointMetadata::Text(const char* key) {
  const auto found = members_.find(key);
  if (found != members_.end()) return found->second;
  problem_ = absl::StrCat("no ", key);
  return "";
}

int64_t CheckpointMetadata::Whole(const char* key) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(Text(key), &value) || value < 0) {
    problem_ = absl::StrCat("bad ", key);
  }
  return value;
}

double CheckpointMetadata::Real(const char* key) {
  const std::string text = Text(key);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') problem_ = absl::StrCat("bad ", key);
  return value;
}

}  // namespace promptd::learners

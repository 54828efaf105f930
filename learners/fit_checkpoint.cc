#include "learners/fit_checkpoint.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"
#include "learners/checkpoint_metadata.h"
#include "weights/safetensors.h"

namespace promptd::learners {
absl::StatusOr<std::string> WriteFitCheckpoint(const FitCheckpoint& content) {
  return weights::WriteSafetensors(
      std::map<std::string, FloatTensor>(),
      {{"format", kFitsFormat},
       {"identity", content.identity},
       {"scored", absl::StrJoin(content.scored, " ")},
       {"loss", ExactText(content.loss)},
       {"accuracy", ExactText(content.accuracy)}});
}

absl::StatusOr<FitCheckpoint> ReadFitCheckpoint(absl::string_view bytes,
                                                absl::string_view identity) {
  const auto file =
      weights::Safetensors::FromBytes(std::string(bytes), "checkpoint");
  if (!file.ok()) return BadCheckpoint(file.status().message());
  CheckpointMetadata metadata(file->metadata());
  RETURN_IF_ERROR(metadata.CheckFormat(kFitsFormat));
  FitCheckpoint content;
  content.identity = metadata.Text("identity");
  content.loss = metadata.Real("loss");
  content.accuracy = metadata.Real("accuracy");
  const std::string scored = metadata.Text("scored");
  if (!metadata.problem().empty()) return BadCheckpoint(metadata.problem());
  if (content.identity != identity) return CheckpointOfAnotherJob();
  for (const absl::string_view text :
       absl::StrSplit(scored, ' ', absl::SkipEmpty())) {
    int64_t correct = 0;
    if (!absl::SimpleAtoi(text, &correct) || correct < 0) {
      return BadCheckpoint("bad scored");
    }
    content.scored.push_back(correct);
  }
  return content;
}

}  // namespace promptd::learners

#include "client/selector.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/exit_code.h"
#include "common/error.h"

namespace promptd::client {
namespace {

absl::Status BadSelector(absl::string_view text, absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, kUsageReason,
                   absl::StrCat("\"", text, "\" ", why,
                                ": write TASK, TASK@ALIAS or TASK:VERSION, "
                                "e.g. pets, pets@production or pets:3"));
}

}  // namespace

absl::StatusOr<TaskSelector> ParseTaskSelector(absl::string_view text) {
  const size_t mark = text.find_first_of("@:");
  TaskSelector selector{
      .task = std::string(text.substr(0, mark)), .alias = "", .version = 0};
  if (selector.task.empty()) return BadSelector(text, "names no task");
  if (mark == absl::string_view::npos) return selector;
  const absl::string_view rest = text.substr(mark + 1);
  if (text[mark] == '@') {
    if (rest.empty() || rest.find_first_of("@:") != absl::string_view::npos) {
      return BadSelector(text, "has no alias after the @");
    }
    selector.alias = std::string(rest);
    return selector;
  }
  if (!absl::SimpleAtoi(rest, &selector.version) || selector.version < 1) {
    return BadSelector(text, "has no version number after the colon");
  }
  return selector;
}

absl::StatusOr<CheckpointSelector> ParseCheckpointSelector(
    absl::string_view text) {
  const size_t mark = text.find(':');
  CheckpointSelector selector;
  const bool is_number =
      mark == absl::string_view::npos ||
      (absl::SimpleAtoi(text.substr(mark + 1), &selector.number) &&
       selector.number > 0);
  if (is_number && absl::SimpleAtoi(text.substr(0, mark), &selector.job) &&
      selector.job > 0) {
    return selector;
  }
  return MakeError(absl::StatusCode::kInvalidArgument, kUsageReason,
                   absl::StrCat("\"", text,
                                "\" names no checkpoint: write JOB or "
                                "JOB:NUMBER, e.g. 42 or 42:3"));
}

std::string ToString(const TaskSelector& selector) {
  if (selector.version > 0) {
    return absl::StrCat(selector.task, ":", selector.version);
  }
  if (!selector.alias.empty()) {
    return absl::StrCat(selector.task, "@", selector.alias);
  }
  return selector.task;
}

}  // namespace promptd::client

// Which prompt of a task: TASK, TASK@ALIAS or TASK:VERSION.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::client {

// At most one of `alias` and `version` is set; neither means "production".
struct TaskSelector {
  std::string task;
  std::string alias;
  int64_t version = 0;

  friend bool operator==(const TaskSelector&, const TaskSelector&) = default;
};

// INVALID_ARGUMENT (USAGE) names what is wrong and shows the three forms.
absl::StatusOr<TaskSelector> ParseTaskSelector(absl::string_view text);

// Of a training job: JOB or JOB:NUMBER.
struct CheckpointSelector {
  int64_t job = 0;
  int number = 0;  // 0: its last one

  friend bool operator==(const CheckpointSelector&,
                         const CheckpointSelector&) = default;
};

// INVALID_ARGUMENT (USAGE) shows both forms.
absl::StatusOr<CheckpointSelector> ParseCheckpointSelector(
    absl::string_view text);

// Fills a message that has `task` and the oneof of `version` and `alias`.
template <typename Message>
void SetSelector(const TaskSelector& selector, Message* message) {
  message->set_task(selector.task);
  if (selector.version > 0) message->set_version(selector.version);
  if (!selector.alias.empty()) message->set_alias(selector.alias);
}

// "pets:3", "pets@beta" or "pets".
std::string ToString(const TaskSelector& selector);

}  // namespace promptd::client

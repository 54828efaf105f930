// Tasks, versions and aliases as rows. Private to the room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "registry/records.h"
#include "store/database.h"

namespace promptd::registry {

// "SELECT <columns of TaskFromRow> FROM task t LEFT JOIN ...".
const std::string& SelectTask();
absl::StatusOr<Task> TaskFromRow(const store::Row& row);
absl::StatusOr<std::optional<Task>> FindTask(store::Transaction& tx,
                                             const std::string& tenant,
                                             const std::string& name);
// NOT_FOUND (TASK_NOT_FOUND).
absl::StatusOr<Task> LoadTask(store::Transaction& tx, const std::string& tenant,
                              const std::string& name);

// "SELECT <columns of VersionFromRow> FROM prompt_version v".
const std::string& SelectVersion();
// Without the aliases.
PromptVersion VersionFromRow(const store::Row& row, const Task& task);
// NOT_FOUND (VERSION_NOT_FOUND).
absl::StatusOr<PromptVersion> LoadVersion(store::Transaction& tx,
                                          const Task& task, int64_t version);
absl::Status VersionNotFound(const Task& task, int64_t version);

// `evaluation.task` is not read.
absl::Status InsertEvaluation(store::Transaction& tx, const Task& task,
                              const EvaluationRecord& evaluation);

// Fills PromptVersion::aliases of versions of one task.
absl::Status AddAliases(store::Transaction& tx, const Task& task,
                        std::vector<PromptVersion>& versions);

// The stored aliases of a task by name, without the computed "latest".
absl::StatusOr<std::vector<Alias>> LoadAliases(store::Transaction& tx,
                                               const Task& task);
absl::StatusOr<std::optional<Alias>> FindAlias(store::Transaction& tx,
                                               const Task& task,
                                               const std::string& name);
// Writes the alias and its history; `previous` is what it was, if it was.
absl::StatusOr<Alias> MoveAlias(store::Transaction& tx, const Task& task,
                                const std::string& name, int64_t version,
                                const std::optional<Alias>& previous,
                                absl::Time now);

}  // namespace promptd::registry

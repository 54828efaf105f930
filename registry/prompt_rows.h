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

absl::StatusOr<std::map<std::string, std::string>> LoadTags(
    store::Transaction& tx, const Task& task, int64_t version);

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
// An alias's name, an empty one as production's; and that a task has none.
std::string OrProduction(const std::string& alias);
absl::Status AliasNotFound(const Task& task, const std::string& alias);

// Moves of an alias below a revision, newest first.
absl::StatusOr<std::vector<AliasMove>> LoadMoves(store::Transaction& tx,
                                                 const Task& task,
                                                 const std::string& name,
                                                 int64_t before, int64_t limit);

// Where an alias goes: its history's next row, without time and revision.
struct AliasTarget {
  int64_t version = 0;  // 0: nowhere, it is deleted
  std::string actor = {};
  std::string reason = {};
  int64_t undone_revision = 0;  // of a rollback
};
// Writes the alias and its history; `previous` is what it was, if it was.
// Revisions go on where a deleted alias of this name ended.
absl::StatusOr<Alias> MoveAlias(store::Transaction& tx, const Task& task,
                                const std::string& name,
                                const AliasTarget& target,
                                const std::optional<Alias>& previous,
                                absl::Time now);

}  // namespace promptd::registry

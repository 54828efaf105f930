// Forgetting versions and tasks. What an alias names stays.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/prompt_registry.h"
#include "registry/prompt_rows.h"

namespace promptd::registry {
namespace {

using store::Transaction;
using store::Value;

// The names of a task's aliases that point at `version`; 0: of all.
absl::StatusOr<std::vector<std::string>> AliasesAt(Transaction& tx,
                                                   const Task& task,
                                                   int64_t version) {
  ASSIGN_OR_RETURN(const std::vector<Alias> aliases, LoadAliases(tx, task));
  std::vector<std::string> names;
  for (const Alias& alias : aliases) {
    if (version == 0 || alias.version == version) names.push_back(alias.name);
  }
  return names;
}

// Deletes the rows of a version (0: of all versions) of a task, those that
// refer to it first.
absl::Status DeleteRows(Transaction& tx, const Task& task, int64_t version) {
  for (const char* table : {"version_tag", "evaluation", "prompt_version"}) {
    RETURN_IF_ERROR(
        tx.Execute(absl::StrCat("DELETE FROM ", table,
                                " WHERE task_id=? AND (?=0 OR version=?)"),
                   {task.id, version, version})
            .status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PromptRegistry::DeleteVersion(Transaction& tx,
                                           const std::string& tenant,
                                           const std::string& task,
                                           int64_t version) {
  ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
  RETURN_IF_ERROR(LoadVersion(tx, owner, version).status());
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   AliasesAt(tx, owner, version));
  if (!names.empty()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "VERSION_IN_USE",
        absl::StrCat("version ", task, ":", version, " is named by alias ",
                     absl::StrJoin(names, ", "),
                     ": move or delete it first (`promptctl alias`)"));
  }
  NamesChange(tx);
  return DeleteRows(tx, owner, version);
}

absl::Status PromptRegistry::DeleteTask(Transaction& tx,
                                        const std::string& tenant,
                                        const std::string& task) {
  ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   AliasesAt(tx, owner, 0));
  if (!names.empty()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "TASK_IN_USE",
        absl::StrCat("task \"", task,
                     "\" has versions that are named by alias ",
                     absl::StrJoin(names, ", "),
                     ": delete it first (`promptctl alias delete`)"));
  }
  NamesChange(tx);
  RETURN_IF_ERROR(DeleteRows(tx, owner, 0));
  return tx.Execute("DELETE FROM task WHERE id=?", {owner.id}).status();
}

}  // namespace promptd::registry

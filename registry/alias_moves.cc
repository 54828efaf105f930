// Aliases: how PromptRegistry's movable names move.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/prompt_registry.h"
#include "registry/prompt_rows.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;

constexpr size_t kMaxAliases = 100;
constexpr int64_t kMovesPerRead = 256;

absl::Status CheckName(const std::string& alias) {
  if (alias == kLatestAlias) {
    return MakeError(absl::StatusCode::kInvalidArgument, "ALIAS_READ_ONLY",
                     "\"latest\" is always the newest version: choose "
                     "another alias");
  }
  if (IsValidName(alias)) return absl::OkStatus();
  return InvalidFields(
      "INVALID_ALIAS_NAME",
      {{"name",
        "must be 1 to 63 characters of a-z, 0-9, '.', '_', '-' and start "
        "with a letter or digit"}});
}

absl::Status CheckExpected(const Task& task, const std::string& alias,
                           const std::optional<Alias>& current,
                           const AliasChange& change) {
  const int64_t version = current ? current->version : 0;
  const int64_t revision = current ? current->revision : 0;
  const bool as_expected =
      change.expected_version.value_or(version) == version &&
      change.expected_revision.value_or(revision) == revision;
  if (as_expected) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kAborted, "ALIAS_MOVED",
      absl::StrCat("alias \"", alias, "\" of task \"", task.name, "\" is at ",
                   current ? absl::StrCat("version ", version, " (revision ",
                                          revision, ")")
                           : std::string("no version"),
                   ", not at ",
                   change.expected_version
                       ? absl::StrCat(*change.expected_version)
                       : absl::StrCat("revision ", *change.expected_revision),
                   ": look again before moving it"));
}

absl::Status CheckRoom(Transaction& tx, const Task& task) {
  ASSIGN_OR_RETURN(const std::vector<Alias> all, LoadAliases(tx, task));
  if (all.size() < kMaxAliases) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_ALIASES",
      absl::StrCat(
          "task \"", task.name, "\" has ", all.size(),
          " aliases, the most there can be: move one of them instead"));
}

absl::StatusOr<Alias> Set(Transaction& tx, const Task& task,
                          const std::string& name, int64_t version,
                          const AliasChange& change, absl::Time now) {
  RETURN_IF_ERROR(LoadVersion(tx, task, version).status());
  ASSIGN_OR_RETURN(const std::optional<Alias> current,
                   FindAlias(tx, task, name));
  RETURN_IF_ERROR(CheckExpected(task, name, current, change));
  if (current && current->version == version) return *current;
  if (!current) RETURN_IF_ERROR(CheckRoom(tx, task));
  return MoveAlias(
      tx, task, name,
      {.version = version, .actor = change.actor, .reason = change.reason},
      current, now);
}

// The newest move that no rollback has undone: a rollback of move r leads to
// the state before r, so the search goes on there. Nothing when all are.
absl::StatusOr<std::optional<AliasMove>> FindMoveToUndo(
    Transaction& tx, const Task& task, const std::string& name) {
  int64_t wanted = INT64_MAX;  // the newest move at or below this revision
  for (int64_t before = INT64_MAX;;) {
    ASSIGN_OR_RETURN(const std::vector<AliasMove> moves,
                     LoadMoves(tx, task, name, before, kMovesPerRead));
    if (moves.empty()) return std::optional<AliasMove>();
    for (const AliasMove& move : moves) {
      if (move.revision > wanted) continue;
      if (move.undone_revision == 0) return std::optional<AliasMove>(move);
      wanted = move.undone_revision - 1;
    }
    before = moves.back().revision;
  }
}

absl::Status NothingToRollBack(const std::string& name) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "NOTHING_TO_ROLL_BACK",
      absl::StrCat("alias \"", name,
                   "\" did not exist before: `promptctl alias history` shows "
                   "its moves, `promptctl alias set` moves it anywhere"));
}

// A rollback from where the alias is.
struct Undo {
  std::optional<Alias> current;
  int64_t version = 0;  // where it leads
  int64_t undone_revision = 0;
};

absl::StatusOr<Undo> FindUndo(Transaction& tx, const Task& task,
                              const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<AliasMove> any,
                   LoadMoves(tx, task, name, INT64_MAX, 1));
  if (any.empty()) return AliasNotFound(task, name);
  Undo undo;
  ASSIGN_OR_RETURN(undo.current, FindAlias(tx, task, name));
  ASSIGN_OR_RETURN(const std::optional<AliasMove> undone,
                   FindMoveToUndo(tx, task, name));
  if (!undone || undone->previous_version == 0) return NothingToRollBack(name);
  undo.version = undone->previous_version;
  undo.undone_revision = undone->revision;
  const absl::Status there = LoadVersion(tx, task, undo.version).status();
  if (absl::IsNotFound(there)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "VERSION_GONE",
        absl::StrCat("alias \"", name, "\" was at version ", undo.version,
                     " before, which has been deleted: choose another one "
                     "with `promptctl alias set`"));
  }
  RETURN_IF_ERROR(there);
  return undo;
}

absl::StatusOr<Alias> Rollback(Transaction& tx, const Task& task,
                               const std::string& name,
                               const AliasChange& change, absl::Time now) {
  ASSIGN_OR_RETURN(const std::optional<Alias> current,
                   FindAlias(tx, task, name));
  RETURN_IF_ERROR(CheckExpected(task, name, current, change));
  ASSIGN_OR_RETURN(const Undo undo, FindUndo(tx, task, name));
  if (!current) RETURN_IF_ERROR(CheckRoom(tx, task));
  return MoveAlias(tx, task, name,
                   {.version = undo.version,
                    .actor = change.actor,
                    .reason = change.reason,
                    .undone_revision = undo.undone_revision},
                   current, now);
}

}  // namespace

absl::StatusOr<Alias> PromptRegistry::SetAlias(const std::string& tenant,
                                               const std::string& task,
                                               const std::string& alias,
                                               int64_t version,
                                               const AliasChange& change) {
  const std::string name = OrProduction(alias);
  RETURN_IF_ERROR(CheckName(name));
  return store::WriteFor<Alias>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Alias> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        NamesChange(tx);
        return Set(tx, owner, name, version, change, clock_->Now());
      });
}

absl::StatusOr<Alias> PromptRegistry::RollbackAlias(const std::string& tenant,
                                                    const std::string& task,
                                                    const std::string& alias,
                                                    const AliasChange& change) {
  const std::string name = OrProduction(alias);
  RETURN_IF_ERROR(CheckName(name));
  return store::WriteFor<Alias>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Alias> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        NamesChange(tx);
        return Rollback(tx, owner, name, change, clock_->Now());
      });
}

absl::StatusOr<PromptRegistry::RollbackPlan> PromptRegistry::PlanRollback(
    const std::string& tenant, const std::string& task,
    const std::string& alias) {
  const std::string name = OrProduction(alias);
  RETURN_IF_ERROR(CheckName(name));
  return store::ReadFor<RollbackPlan>(
      db_, [&](Transaction& tx) -> absl::StatusOr<RollbackPlan> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        ASSIGN_OR_RETURN(const Undo undo, FindUndo(tx, owner, name));
        return RollbackPlan{undo.version,
                            undo.current ? undo.current->revision : 0};
      });
}

absl::Status PromptRegistry::DeleteAlias(const std::string& tenant,
                                         const std::string& task,
                                         const std::string& alias,
                                         const AliasChange& change) {
  const std::string name = OrProduction(alias);
  RETURN_IF_ERROR(CheckName(name));
  return db_->Write([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
    ASSIGN_OR_RETURN(const std::optional<Alias> current,
                     FindAlias(tx, owner, name));
    if (!current) return AliasNotFound(owner, name);
    RETURN_IF_ERROR(CheckExpected(owner, name, current, change));
    NamesChange(tx);
    return MoveAlias(
               tx, owner, name,
               {.version = 0, .actor = change.actor, .reason = change.reason},
               current, clock_->Now())
        .status();
  });
}

}  // namespace promptd::registry

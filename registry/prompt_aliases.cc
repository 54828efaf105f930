// Aliases: PromptRegistry's movable names.
#include <algorithm>
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

std::string OrProduction(const std::string& alias) {
  return alias.empty() ? kProductionAlias : alias;
}

absl::Status AliasNotFound(const Task& task, const std::string& alias) {
  return MakeError(
      absl::StatusCode::kNotFound, "ALIAS_NOT_FOUND",
      task.latest_version == 0
          ? absl::StrCat("task \"", task.name, "\" has no alias \"", alias,
                         "\" because it has no version yet: `promptctl train` "
                         "makes one")
          : absl::StrCat("task \"", task.name, "\" has no alias \"", alias,
                         "\": `promptctl alias list` shows those it has"));
}

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
                           std::optional<int64_t> expected) {
  const int64_t at = current ? current->version : 0;
  if (!expected || *expected == at) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kAborted, "ALIAS_MOVED",
      absl::StrCat(
          "alias \"", alias, "\" of task \"", task.name, "\" is at ",
          at == 0 ? std::string("no version") : absl::StrCat("version ", at),
          ", not at ", *expected, ": look again before moving it"));
}

absl::StatusOr<Alias> Set(Transaction& tx, const Task& task,
                          const std::string& name, int64_t version,
                          std::optional<int64_t> expected, absl::Time now) {
  if (version < 1 || version > task.latest_version) {
    return VersionNotFound(task, version);
  }
  ASSIGN_OR_RETURN(const std::optional<Alias> current,
                   FindAlias(tx, task, name));
  RETURN_IF_ERROR(CheckExpected(task, name, current, expected));
  if (current && current->version == version) return *current;
  if (!current) {
    ASSIGN_OR_RETURN(const std::vector<Alias> all, LoadAliases(tx, task));
    if (all.size() >= kMaxAliases) {
      return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_ALIASES",
                       absl::StrCat("task \"", task.name, "\" has ", all.size(),
                                    " aliases, the most there can be: move "
                                    "one of them instead"));
    }
  }
  return MoveAlias(tx, task, name, version, current, now);
}

// The computed alias; its revision counts the publications.
absl::StatusOr<Alias> Latest(Transaction& tx, const Task& task) {
  ASSIGN_OR_RETURN(const PromptVersion newest,
                   LoadVersion(tx, task, task.latest_version));
  return Alias{task.name, kLatestAlias, newest.version, newest.version,
               newest.create_time};
}

}  // namespace

absl::StatusOr<PromptVersion> PromptRegistry::GetVersionByAlias(
    const std::string& tenant, const std::string& task,
    const std::string& alias) {
  return store::ReadFor<PromptVersion>(
      db_, [&](Transaction& tx) -> absl::StatusOr<PromptVersion> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        const std::string name = OrProduction(alias);
        if (name == kLatestAlias) {
          return LoadVersion(tx, owner, owner.latest_version);
        }
        ASSIGN_OR_RETURN(const std::optional<Alias> found,
                         FindAlias(tx, owner, name));
        if (!found) return AliasNotFound(owner, name);
        return LoadVersion(tx, owner, found->version);
      });
}

absl::StatusOr<std::vector<Alias>> PromptRegistry::ListAliases(
    const std::string& tenant, const std::string& task) {
  return store::ReadFor<std::vector<Alias>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<Alias>> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        ASSIGN_OR_RETURN(std::vector<Alias> aliases, LoadAliases(tx, owner));
        if (owner.latest_version > 0) {
          ASSIGN_OR_RETURN(Alias latest, Latest(tx, owner));
          aliases.push_back(std::move(latest));
          std::sort(
              aliases.begin(), aliases.end(),
              [](const Alias& a, const Alias& b) { return a.name < b.name; });
        }
        return aliases;
      });
}

absl::StatusOr<Alias> PromptRegistry::SetAlias(
    const std::string& tenant, const std::string& task,
    const std::string& alias, int64_t version,
    std::optional<int64_t> expected_version) {
  const std::string name = OrProduction(alias);
  RETURN_IF_ERROR(CheckName(name));
  return store::WriteFor<Alias>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Alias> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        NamesChange(tx);
        return Set(tx, owner, name, version, expected_version, clock_->Now());
      });
}

absl::StatusOr<std::vector<AliasMove>> PromptRegistry::AliasHistory(
    const std::string& tenant, const std::string& task,
    const std::string& alias) {
  const std::string name = OrProduction(alias);
  return store::ReadFor<std::vector<AliasMove>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<AliasMove>> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query("SELECT revision, version, previous_version, changed"
                     " FROM alias_history WHERE task_id=? AND name=?"
                     " ORDER BY revision",
                     {owner.id, name}));
        if (rows.empty()) return AliasNotFound(owner, name);
        std::vector<AliasMove> moves;
        moves.reserve(rows.size());
        for (const Row& row : rows) {
          moves.push_back({row.Int(0), row.Int(1), row.Int(2), row.Time(3)});
        }
        return moves;
      });
}

}  // namespace promptd::registry

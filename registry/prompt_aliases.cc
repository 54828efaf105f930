// Aliases: where PromptRegistry's movable names point, and pointed.
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

// The computed alias; its revision counts the publications.
absl::StatusOr<Alias> Latest(Transaction& tx, const Task& task) {
  ASSIGN_OR_RETURN(const PromptVersion newest,
                   LoadVersion(tx, task, task.latest_version));
  return Alias{task.name, kLatestAlias, newest.version, newest.version,
               newest.create_time};
}

// The newest version that there was, of those that are still there.
absl::StatusOr<std::optional<Alias>> LatestAt(Transaction& tx, const Task& task,
                                              absl::Time at) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT version, created FROM prompt_version WHERE task_id=?"
               " AND created<=? ORDER BY version DESC LIMIT 1",
               {task.id, at}));
  if (rows.empty()) return std::optional<Alias>();
  return std::optional<Alias>(Alias{task.name, kLatestAlias, rows[0].Int(0),
                                    rows[0].Int(0), rows[0].Time(1)});
}

absl::StatusOr<std::optional<Alias>> FindAliasAt(Transaction& tx,
                                                 const Task& task,
                                                 const std::string& name,
                                                 absl::Time at) {
  if (name == kLatestAlias) return LatestAt(tx, task, at);
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT version, revision, changed FROM alias_history"
               " WHERE task_id=? AND name=? AND changed<=?"
               " ORDER BY revision DESC LIMIT 1",
               {task.id, name, at}));
  if (rows.empty() || rows[0].Int(0) == 0) return std::optional<Alias>();
  return std::optional<Alias>(
      Alias{task.name, name, rows[0].Int(0), rows[0].Int(1), rows[0].Time(2)});
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

absl::StatusOr<Alias> PromptRegistry::GetAlias(const std::string& tenant,
                                               const std::string& task,
                                               const std::string& alias,
                                               std::optional<absl::Time> at) {
  const std::string name = OrProduction(alias);
  return store::ReadFor<Alias>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Alias> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        if (!at && name == kLatestAlias) return Latest(tx, owner);
        ASSIGN_OR_RETURN(const std::optional<Alias> found,
                         at ? FindAliasAt(tx, owner, name, *at)
                            : FindAlias(tx, owner, name));
        if (found) return *found;
        return at ? MakeError(absl::StatusCode::kNotFound, "ALIAS_NOT_FOUND",
                              absl::StrCat("task \"", owner.name,
                                           "\" had no alias \"", name,
                                           "\" at that time: `promptctl alias "
                                           "history` shows its moves"))
                  : AliasNotFound(owner, name);
      });
}

absl::StatusOr<store::Page<AliasMove>> PromptRegistry::AliasHistory(
    const std::string& tenant, const std::string& task,
    const std::string& alias, const store::PageRequest& page) {
  const std::string name = OrProduction(alias);
  ASSIGN_OR_RETURN(const int64_t before, store::NumberBefore(page));
  const int size = store::PageSize(page);
  using Moves = store::Page<AliasMove>;
  return store::ReadFor<Moves>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Moves> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        ASSIGN_OR_RETURN(
            const std::vector<AliasMove> moves,
            LoadMoves(tx, owner, name, before, static_cast<int64_t>(size) + 1));
        if (moves.empty() && page.page_token.empty()) {
          return AliasNotFound(owner, name);
        }
        Moves result;
        result.items = moves;
        if (result.items.size() > static_cast<size_t>(size)) {
          result.items.pop_back();
          result.next_page_token = absl::StrCat(result.items.back().revision);
        }
        return result;
      });
}

}  // namespace promptd::registry

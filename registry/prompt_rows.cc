#include "registry/prompt_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/json_text.h"
#include "registry/prompt_registry.h"

namespace promptd::registry {

using store::Row;
using store::Transaction;

const std::string& SelectTask() {
  static const std::string* const sql = new std::string(
      "SELECT t.id, t.tenant, t.name, t.encoder, t.encoder_digest,"
      " t.class_names,"
      " COALESCE((SELECT MAX(v.version) FROM prompt_version v"
      "  WHERE v.task_id=t.id), 0),"
      " t.created, COALESCE(a.version, 0)"
      " FROM task t LEFT JOIN alias a"
      " ON a.task_id=t.id AND a.name='production'");
  return *sql;
}

absl::StatusOr<Task> TaskFromRow(const Row& row) {
  Task task;
  task.id = row.Int(0);
  task.tenant = row.Text(1);
  task.name = row.Text(2);
  task.encoder = row.Text(3);
  task.encoder_digest = row.Text(4);
  ASSIGN_OR_RETURN(task.class_names, NamesFromJson(row.Text(5)));
  task.latest_version = row.Int(6);
  task.create_time = row.Time(7);
  task.production_version = row.Int(8);
  return task;
}

absl::StatusOr<std::optional<Task>> FindTask(Transaction& tx,
                                             const std::string& tenant,
                                             const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query(SelectTask() + " WHERE t.tenant=? AND t.name=?",
                            {tenant, name}));
  if (rows.empty()) return std::optional<Task>();
  ASSIGN_OR_RETURN(Task task, TaskFromRow(rows[0]));
  return std::optional<Task>(std::move(task));
}

absl::StatusOr<Task> LoadTask(Transaction& tx, const std::string& tenant,
                              const std::string& name) {
  ASSIGN_OR_RETURN(std::optional<Task> task, FindTask(tx, tenant, name));
  if (task) return *std::move(task);
  return MakeError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                   absl::StrCat("no task \"", name,
                                "\": `promptctl task list` shows yours, "
                                "`promptctl train` makes one"));
}

const std::string& SelectVersion() {
  static const std::string* const sql = new std::string(
      "SELECT v.version, v.digest, v.context_digest, v.features_digest,"
      " v.dataset, v.dataset_digest, v.encoder_digest, v.job_id, v.spec,"
      " v.created, (SELECT e.result FROM evaluation e"
      "  WHERE e.job_id=v.job_id)"
      " FROM prompt_version v");
  return *sql;
}

PromptVersion VersionFromRow(const Row& row, const Task& task) {
  PromptVersion version;
  version.task = task.name;
  version.version = row.Int(0);
  version.digest = row.Text(1);
  version.context_digest = row.Text(2);
  version.features_digest = row.Text(3);
  version.dataset = row.Text(4);
  version.dataset_digest = row.Text(5);
  version.encoder_digest = row.Text(6);
  version.job_id = row.Int(7);
  version.spec_json = row.Text(8);
  version.create_time = row.Time(9);
  version.evaluation_json = row.Text(10);
  version.class_names = task.class_names;
  return version;
}

absl::Status VersionNotFound(const Task& task, int64_t version) {
  return MakeError(
      absl::StatusCode::kNotFound, "VERSION_NOT_FOUND",
      task.latest_version == 0
          ? absl::StrCat("task \"", task.name,
                         "\" has no version yet: `promptctl train` makes one")
          : absl::StrCat("task \"", task.name, "\" has no version ", version,
                         "; the newest is ", task.latest_version));
}

absl::StatusOr<PromptVersion> LoadVersion(Transaction& tx, const Task& task,
                                          int64_t version) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectVersion() + " WHERE v.task_id=? AND v.version=?",
               {task.id, version}));
  if (rows.empty()) return VersionNotFound(task, version);
  std::vector<PromptVersion> found = {VersionFromRow(rows[0], task)};
  RETURN_IF_ERROR(AddAliases(tx, task, found));
  return std::move(found[0]);
}

absl::Status InsertEvaluation(Transaction& tx, const Task& task,
                              const EvaluationRecord& evaluation) {
  return tx
      .Execute(
          "INSERT INTO evaluation (job_id, task_id, version, dataset,"
          " dataset_digest, split, result, created)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          {evaluation.job_id, task.id, evaluation.version, evaluation.dataset,
           evaluation.dataset_digest, evaluation.split, evaluation.result_json,
           evaluation.create_time})
      .status();
}

absl::Status AddAliases(Transaction& tx, const Task& task,
                        std::vector<PromptVersion>& versions) {
  ASSIGN_OR_RETURN(const std::vector<Alias> aliases, LoadAliases(tx, task));
  for (PromptVersion& version : versions) {
    for (const Alias& alias : aliases) {
      if (alias.version == version.version) {
        version.aliases.push_back(alias.name);
      }
    }
    if (version.version == task.latest_version) {
      version.aliases.emplace_back(kLatestAlias);
      std::sort(version.aliases.begin(), version.aliases.end());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Alias>> LoadAliases(Transaction& tx,
                                               const Task& task) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT name, version, revision, updated FROM"
                            " alias WHERE task_id=? ORDER BY name",
                            {task.id}));
  std::vector<Alias> aliases;
  aliases.reserve(rows.size());
  for (const Row& row : rows) {
    aliases.push_back(
        {task.name, row.Text(0), row.Int(1), row.Int(2), row.Time(3)});
  }
  return aliases;
}

absl::StatusOr<std::optional<Alias>> FindAlias(Transaction& tx,
                                               const Task& task,
                                               const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT version, revision, updated FROM alias"
                            " WHERE task_id=? AND name=?",
                            {task.id, name}));
  if (rows.empty()) return std::optional<Alias>();
  return std::optional<Alias>(
      Alias{task.name, name, rows[0].Int(0), rows[0].Int(1), rows[0].Time(2)});
}

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

absl::StatusOr<std::vector<AliasMove>> LoadMoves(Transaction& tx,
                                                 const Task& task,
                                                 const std::string& name,
                                                 int64_t before,
                                                 int64_t limit) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT revision, version, previous_version, changed, actor,"
               " reason, undone_revision FROM alias_history"
               " WHERE task_id=? AND name=? AND revision<?"
               " ORDER BY revision DESC LIMIT ?",
               {task.id, name, before, limit}));
  std::vector<AliasMove> moves;
  moves.reserve(rows.size());
  for (const Row& row : rows) {
    moves.push_back({row.Int(0), row.Int(1), row.Int(2), row.Time(3),
                     row.Text(4), row.Text(5), row.Int(6)});
  }
  return moves;
}

namespace {

absl::StatusOr<int64_t> LastRevision(Transaction& tx, const Task& task,
                                     const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT COALESCE(MAX(revision), 0) FROM"
                            " alias_history WHERE task_id=? AND name=?",
                            {task.id, name}));
  return rows.at(0).Int(0);
}

// The row of where the alias points now.
absl::Status WriteAlias(Transaction& tx, const Task& task, const Alias& moved,
                        const std::optional<Alias>& previous) {
  if (!previous) {
    return tx
        .Execute(
            "INSERT INTO alias (task_id, name, version, revision, updated)"
            " VALUES (?, ?, ?, ?, ?)",
            {task.id, moved.name, moved.version, moved.revision,
             moved.update_time})
        .status();
  }
  ASSIGN_OR_RETURN(
      const int64_t changed,
      moved.version == 0
          ? tx.Execute("DELETE FROM alias WHERE task_id=? AND name=?"
                       " AND revision=?",
                       {task.id, moved.name, previous->revision})
          : tx.Execute("UPDATE alias SET version=?, revision=?, updated=?"
                       " WHERE task_id=? AND name=? AND revision=?",
                       {moved.version, moved.revision, moved.update_time,
                        task.id, moved.name, previous->revision}));
  if (changed == 1) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted, "ALIAS_MOVED",
                   absl::StrCat("alias \"", moved.name,
                                "\" was moved meanwhile: try again"));
}

}  // namespace

absl::StatusOr<Alias> MoveAlias(Transaction& tx, const Task& task,
                                const std::string& name,
                                const AliasTarget& target,
                                const std::optional<Alias>& previous,
                                absl::Time now) {
  ASSIGN_OR_RETURN(const int64_t last, LastRevision(tx, task, name));
  const Alias moved{task.name, name, target.version, last + 1,
                    store::FromMillis(store::ToMillis(now))};
  RETURN_IF_ERROR(WriteAlias(tx, task, moved, previous));
  RETURN_IF_ERROR(
      tx.Execute("INSERT INTO alias_history (task_id, name, revision, version,"
                 " previous_version, changed, actor, reason, undone_revision)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 {task.id, name, moved.revision, moved.version,
                  previous ? previous->version : int64_t{0}, now, target.actor,
                  target.reason, target.undone_revision})
          .status());
  return moved;
}

}  // namespace promptd::registry

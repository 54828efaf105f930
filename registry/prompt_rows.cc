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
      " t.class_names, t.next_version, t.created, COALESCE(a.version, 0)"
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
  task.latest_version = row.Int(6) - 1;
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
                         ", only 1 to ", task.latest_version));
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

absl::StatusOr<Alias> MoveAlias(Transaction& tx, const Task& task,
                                const std::string& name, int64_t version,
                                const std::optional<Alias>& previous,
                                absl::Time now) {
  const Alias moved{task.name, name, version,
                    previous ? previous->revision + 1 : 1,
                    store::FromMillis(store::ToMillis(now))};
  if (previous) {
    ASSIGN_OR_RETURN(
        const int64_t changed,
        tx.Execute(
            "UPDATE alias SET version=?, revision=?, updated=?"
            " WHERE task_id=? AND name=? AND revision=?",
            {version, moved.revision, now, task.id, name, previous->revision}));
    if (changed != 1) {
      return MakeError(
          absl::StatusCode::kAborted, "ALIAS_MOVED",
          absl::StrCat("alias \"", name, "\" was moved meanwhile: try again"));
    }
  } else {
    RETURN_IF_ERROR(tx.Execute("INSERT INTO alias (task_id, name, version,"
                               " revision, updated) VALUES (?, ?, ?, ?, ?)",
                               {task.id, name, version, moved.revision, now})
                        .status());
  }
  RETURN_IF_ERROR(
      tx.Execute("INSERT INTO alias_history (task_id, name, revision,"
                 " version, previous_version, changed)"
                 " VALUES (?, ?, ?, ?, ?, ?)",
                 {task.id, name, moved.revision, version,
                  previous ? previous->version : int64_t{0}, now})
          .status());
  return moved;
}

}  // namespace promptd::registry

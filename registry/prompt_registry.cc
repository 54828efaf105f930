#include "registry/prompt_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/json_text.h"
#include "registry/prompt_rows.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;

std::string Describe(const std::vector<std::string>& classes) {
  constexpr size_t kShown = 8;
  const auto end = classes.size() > kShown
                       ? classes.begin() + static_cast<std::ptrdiff_t>(kShown)
                       : classes.end();
  return absl::StrCat(classes.size(), " classes [",
                      absl::StrJoin(classes.begin(), end, ", "),
                      end == classes.end() ? "]" : ", ...]");
}

absl::Status CheckTask(const Task& task, const std::string& encoder_digest,
                       const std::vector<std::string>& class_names) {
  std::string problem;
  if (task.encoder_digest != encoder_digest) {
    problem = absl::StrCat("is on encoder \"", task.encoder, "\" (",
                           task.encoder_digest, "), not on ", encoder_digest);
  } else if (task.class_names != class_names) {
    problem = absl::StrCat("has ", Describe(task.class_names), ", not ",
                           Describe(class_names));
  } else {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "TASK_MISMATCH",
                   absl::StrCat("task \"", task.name, "\" ", problem,
                                ": use a new task for another label space "
                                "or encoder"));
}

absl::Status CheckUnpublished(Transaction& tx, int64_t job_id) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT version FROM prompt_version WHERE job_id=?", {job_id}));
  if (rows.empty()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAlreadyExists, "JOB_PUBLISHED",
                   absl::StrCat("job ", job_id, " has published version ",
                                rows[0].Int(0), " already"));
}

// Takes the task's next number; the row stays locked until the commit.
absl::StatusOr<int64_t> TakeNumber(Transaction& tx, const Task& task) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("UPDATE task SET next_version=next_version+1"
                            " WHERE id=? RETURNING next_version-1",
                            {task.id}));
  return rows.at(0).Int(0);
}

// The key of the task that a version's context came from, if it is there.
absl::StatusOr<store::Value> SourceTaskId(Transaction& tx,
                                          const NewVersion& content) {
  if (content.source_version == 0) return store::Value();
  ASSIGN_OR_RETURN(const std::optional<Task> source,
                   FindTask(tx, content.tenant, content.source_task));
  return source ? store::Value(source->id) : store::Value();
}

absl::Status InsertVersion(Transaction& tx, const Task& task, int64_t number,
                           const PreparedVersion& version, absl::Time now) {
  const NewVersion& content = version.content;
  ASSIGN_OR_RETURN(const store::Value source, SourceTaskId(tx, content));
  RETURN_IF_ERROR(
      tx.Execute("INSERT INTO prompt_version (task_id, version, digest,"
                 " context_digest, features_digest, dataset, dataset_digest,"
                 " encoder_digest, job_id, spec, created, source_task_id,"
                 " source_version)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 {task.id, number, version.digest, content.context_digest,
                  content.features_digest, content.dataset,
                  content.dataset_digest, content.encoder_digest,
                  content.job_id, content.spec_json, now, source,
                  content.source_version == 0
                      ? store::Value()
                      : store::Value(content.source_version)})
          .status());
  if (content.evaluation_json.empty()) return absl::OkStatus();
  return InsertEvaluation(tx, task,
                          {.job_id = content.job_id,
                           .version = number,
                           .dataset = content.dataset,
                           .dataset_digest = content.dataset_digest,
                           .split = content.split,
                           .result_json = content.evaluation_json,
                           .create_time = now});
}

}  // namespace

bool IsValidName(absl::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!alphanumeric && (i == 0 || (c != '.' && c != '_' && c != '-'))) {
      return false;
    }
  }
  return true;
}

PromptRegistry::PromptRegistry(store::Database* db, store::BlobStore* blobs,
                               const Clock* clock)
    : db_(db), blobs_(blobs), clock_(clock) {}

absl::StatusOr<Task> PromptRegistry::CreateTaskIfMissing(
    Transaction& tx, const std::string& tenant, const std::string& name,
    const std::string& encoder, const std::string& encoder_digest,
    const std::vector<std::string>& class_names) {
  if (!IsValidName(name)) {
    return InvalidFields(
        "INVALID_TASK_NAME",
        {{"spec.task",
          "must be 1 to 63 characters of a-z, 0-9, '.', '_', '-' and start "
          "with a letter or digit"}});
  }
  ASSIGN_OR_RETURN(std::optional<Task> existing, FindTask(tx, tenant, name));
  if (existing) {
    RETURN_IF_ERROR(CheckTask(*existing, encoder_digest, class_names));
    return *std::move(existing);
  }
  ASSIGN_OR_RETURN(const std::string names, NamesToJson(class_names));
  RETURN_IF_ERROR(
      tx.Execute("INSERT INTO task (tenant, name, encoder,"
                 " encoder_digest, class_names, created)"
                 " VALUES (?, ?, ?, ?, ?, ?)",
                 {tenant, name, encoder, encoder_digest, names, clock_->Now()})
          .status());
  return LoadTask(tx, tenant, name);
}

absl::StatusOr<Task> PromptRegistry::GetTask(const std::string& tenant,
                                             const std::string& name) {
  return store::ReadFor<Task>(
      db_, [&](Transaction& tx) { return LoadTask(tx, tenant, name); });
}

absl::StatusOr<Task> PromptRegistry::GetTask(Transaction& tx,
                                             const std::string& tenant,
                                             const std::string& name) {
  return LoadTask(tx, tenant, name);
}

absl::StatusOr<store::Page<Task>> PromptRegistry::ListTasks(
    const std::string& tenant, const store::PageRequest& page) {
  const int size = store::PageSize(page);
  return store::ReadFor<store::Page<Task>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<store::Page<Task>> {
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query(SelectTask() + " WHERE t.tenant=? AND t.name>?"
                                    " ORDER BY t.name LIMIT ?",
                     {tenant, page.page_token, size + 1}));
        store::Page<Task> result;
        for (const Row& row : rows) {
          if (result.items.size() == static_cast<size_t>(size)) {
            result.next_page_token = result.items.back().name;
            break;
          }
          ASSIGN_OR_RETURN(Task task, TaskFromRow(row));
          result.items.push_back(std::move(task));
        }
        return result;
      });
}

absl::StatusOr<PreparedVersion> PromptRegistry::Prepare(
    const NewVersion& version) {
  ASSIGN_OR_RETURN(const std::string manifest, VersionManifest(version));
  PreparedVersion prepared;
  prepared.content = version;
  ASSIGN_OR_RETURN(prepared.digest, blobs_->Put(manifest));
  return prepared;
}

absl::StatusOr<PromptVersion> PromptRegistry::Publish(
    Transaction& tx, const PreparedVersion& version) {
  const NewVersion& content = version.content;
  ASSIGN_OR_RETURN(const Task task, LoadTask(tx, content.tenant, content.task));
  RETURN_IF_ERROR(CheckTask(task, content.encoder_digest, content.class_names));
  RETURN_IF_ERROR(CheckUnpublished(tx, content.job_id));
  ASSIGN_OR_RETURN(const int64_t number, TakeNumber(tx, task));
  const absl::Time now = clock_->Now();
  RETURN_IF_ERROR(InsertVersion(tx, task, number, version, now));
  NamesChange(tx);  // "latest", and the first "production"
  if (number == 1) {
    RETURN_IF_ERROR(MoveAlias(tx, task, kProductionAlias,
                              {.version = 1,
                               .actor = absl::StrCat("job ", content.job_id),
                               .reason = "first publication"},
                              std::nullopt, now)
                        .status());
  }
  ASSIGN_OR_RETURN(const Task after,
                   LoadTask(tx, content.tenant, content.task));
  return LoadVersion(tx, after, number);
}

void PromptRegistry::NamesChange(Transaction& tx) {
  const auto count = [this] {
    revision_.fetch_add(1, std::memory_order_release);
  };
  // Now, so that nobody who waits for this transaction gets what was before;
  // after the commit for those whom a database lets read meanwhile.
  count();
  tx.AfterCommit(count);
}

absl::StatusOr<PromptVersion> PromptRegistry::GetVersion(
    const std::string& tenant, const std::string& task, int64_t version) {
  return store::ReadFor<PromptVersion>(
      db_, [&](Transaction& tx) -> absl::StatusOr<PromptVersion> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        return LoadVersion(tx, owner, version);
      });
}

absl::StatusOr<std::string> PromptRegistry::ManifestJson(
    const PromptVersion& version) {
  return blobs_->Get(version.digest);
}

absl::Status PromptRegistry::RecordEncoder(const std::string& digest,
                                           const std::string& name) {
  return db_->Write([&](Transaction& tx) {
    const absl::Time now = clock_->Now();
    return tx
        .Execute(
            "INSERT INTO encoder (digest, name, first_seen, last_seen)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET"
            " name=excluded.name, last_seen=excluded.last_seen",
            {digest, name, now, now})
        .status();
  });
}

absl::StatusOr<std::vector<EncoderSeen>> PromptRegistry::ListEncoders() {
  return store::ReadFor<std::vector<EncoderSeen>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<EncoderSeen>> {
        ASSIGN_OR_RETURN(const std::vector<Row> rows,
                         tx.Query("SELECT digest, name, first_seen, last_seen"
                                  " FROM encoder ORDER BY name, digest",
                                  {}));
        std::vector<EncoderSeen> encoders;
        encoders.reserve(rows.size());
        for (const Row& row : rows) {
          encoders.push_back(
              {row.Text(0), row.Text(1), row.Time(2), row.Time(3)});
        }
        return encoders;
      });
}

}  // namespace promptd::registry

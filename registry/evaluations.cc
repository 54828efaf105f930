// Evaluations: what jobs found out about a version on a dataset.
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

constexpr char kSelect[] =
    "SELECT e.job_id, t.name, e.version, e.dataset, e.dataset_digest, e.split,"
    " e.result, e.created FROM evaluation e JOIN task t ON t.id=e.task_id";

EvaluationRecord FromRow(const Row& row) {
  EvaluationRecord evaluation;
  evaluation.job_id = row.Int(0);
  evaluation.task = row.Text(1);
  evaluation.version = row.Int(2);
  evaluation.dataset = row.Text(3);
  evaluation.dataset_digest = row.Text(4);
  evaluation.split = row.Text(5);
  evaluation.result_json = row.Text(6);
  evaluation.create_time = row.Time(7);
  return evaluation;
}

}  // namespace

absl::Status PromptRegistry::AddEvaluation(Transaction& tx,
                                           const std::string& tenant,
                                           EvaluationRecord evaluation) {
  ASSIGN_OR_RETURN(const Task task, LoadTask(tx, tenant, evaluation.task));
  RETURN_IF_ERROR(LoadVersion(tx, task, evaluation.version).status());
  evaluation.create_time = clock_->Now();
  return InsertEvaluation(tx, task, evaluation);
}

absl::StatusOr<EvaluationRecord> PromptRegistry::GetEvaluation(
    const std::string& tenant, int64_t id) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      store::ReadFor<std::vector<Row>>(db_, [&](Transaction& tx) {
        return tx.Query(
            absl::StrCat(kSelect, " WHERE e.job_id=? AND t.tenant=?"),
            {id, tenant});
      }));
  if (!rows.empty()) return FromRow(rows[0]);
  return MakeError(absl::StatusCode::kNotFound, "EVALUATION_NOT_FOUND",
                   absl::StrCat("no evaluation ", id,
                                ": `promptctl evaluation list TASK` shows a "
                                "task's"));
}

absl::StatusOr<store::Page<EvaluationRecord>> PromptRegistry::ListEvaluations(
    const std::string& tenant, const std::string& task, int64_t version,
    const store::PageRequest& page) {
  ASSIGN_OR_RETURN(const int64_t before, store::NumberBefore(page));
  const int size = store::PageSize(page);
  using Evaluations = store::Page<EvaluationRecord>;
  return store::ReadFor<Evaluations>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Evaluations> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        if (version != 0) {
          RETURN_IF_ERROR(LoadVersion(tx, owner, version).status());
        }
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query(absl::StrCat(kSelect,
                                  " WHERE e.task_id=? AND (?=0 OR e.version=?)"
                                  " AND e.job_id<?"
                                  " ORDER BY e.job_id DESC LIMIT ?"),
                     {owner.id, version, version, before, size + 1}));
        Evaluations result;
        for (const Row& row : rows) result.items.push_back(FromRow(row));
        if (result.items.size() > static_cast<size_t>(size)) {
          result.items.pop_back();
          result.next_page_token = absl::StrCat(result.items.back().job_id);
        }
        return result;
      });
}

}  // namespace promptd::registry

#include "jobs/job_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "jobs/job_rows.h"
#include "store/transact.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;

constexpr int kMaxEventsPerRead = 1000;

absl::Status Finished(const Job& job) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "JOB_FINISHED",
      absl::StrCat("job ", job.id, " has already ", JobStateName(job.state)));
}

absl::StatusOr<std::optional<Job>> FindRequest(Transaction& tx,
                                               const std::string& tenant,
                                               const std::string& request_id,
                                               const std::string& body_sha256) {
  if (request_id.empty()) return std::optional<Job>();
  ASSIGN_OR_RETURN(const std::vector<Row> found,
                   tx.Query("SELECT id, body_sha256 FROM job WHERE tenant=? AND"
                            " request_id=?",
                            {tenant, request_id}));
  if (found.empty()) return std::optional<Job>();
  if (found[0].Text(1) != body_sha256) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
        absl::StrCat("request_id \"", request_id, "\" came before with ",
                     "another body and made job ", found[0].Int(0),
                     ": send a new request_id for a new job"));
  }
  ASSIGN_OR_RETURN(Job job, LoadJob(tx, tenant, found[0].Int(0)));
  return std::optional<Job>(std::move(job));
}

absl::Status CheckRoom(Transaction& tx, const std::string& tenant,
                       int64_t max_unfinished) {
  ASSIGN_OR_RETURN(const std::vector<Row> count,
                   tx.Query("SELECT COUNT(*) FROM job WHERE tenant=? AND"
                            " state IN ('queued', 'running', 'paused')",
                            {tenant}));
  if (count.at(0).Int(0) < max_unfinished) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS",
      absl::StrCat("there are ", count[0].Int(0),
                   " unfinished jobs and the limit is ", max_unfinished,
                   ": wait for some to finish or cancel them"));
}

}  // namespace

JobStore::JobStore(store::Database* db, const Clock* clock, JobPolicy policy)
    : db_(db), clock_(clock), policy_(policy) {}

absl::StatusOr<Job> JobStore::Create(const NewJob& job) {
  return store::WriteFor<Job>(db_,
                              [&](Transaction& tx) { return Create(tx, job); });
}

absl::StatusOr<Job> JobStore::Create(Transaction& tx, const NewJob& job) {
  ASSIGN_OR_RETURN(
      std::optional<Job> existing,
      FindRequest(tx, job.tenant, job.request_id, job.body_sha256));
  if (existing) return *std::move(existing);
  RETURN_IF_ERROR(CheckRoom(tx, job.tenant, policy_.max_unfinished));
  ASSIGN_OR_RETURN(Job created, InsertJob(tx, job, clock_->Now()));
  RETURN_IF_ERROR(HandOver(tx, &created));
  return created;
}

absl::StatusOr<Job> JobStore::CreateRunning(Transaction& tx, const NewJob& job,
                                            const std::string& owner) {
  const absl::Time now = AsStored(clock_->Now());
  ASSIGN_OR_RETURN(const Job queued, InsertJob(tx, job, now));
  return StartAttempt(tx, queued, owner, now, now,
                      absl::StrCat("running as ", owner));
}

absl::StatusOr<std::optional<Job>> JobStore::FindByRequest(
    const std::string& tenant, const std::string& request_id,
    const std::string& body_sha256) {
  return store::ReadFor<std::optional<Job>>(db_, [&](Transaction& tx) {
    return FindRequest(tx, tenant, request_id, body_sha256);
  });
}

absl::StatusOr<std::optional<Job>> JobStore::FindSame(
    Transaction& tx, const std::string& tenant,
    const std::string& content_sha256) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectJob() +
                   " WHERE tenant=? AND content_sha256=? AND content_sha256<>''"
                   " AND state='succeeded' AND EXISTS (SELECT 1 FROM"
                   " prompt_version v WHERE v.job_id=job.id)"
                   " ORDER BY id DESC LIMIT 1",
               {tenant, content_sha256}));
  if (rows.empty()) return std::optional<Job>();
  ASSIGN_OR_RETURN(Job job, JobFromRow(rows[0]));
  return std::optional<Job>(std::move(job));
}

absl::StatusOr<Job> JobStore::Get(const std::string& tenant, int64_t id) {
  return store::ReadFor<Job>(
      db_, [&](Transaction& tx) { return LoadJob(tx, tenant, id); });
}

absl::StatusOr<store::Page<Job>> JobStore::List(
    const std::string& tenant, const std::string& task,
    const store::PageRequest& page) {
  ASSIGN_OR_RETURN(const int64_t before, store::NumberBefore(page));
  const size_t size = static_cast<size_t>(store::PageSize(page));
  const int64_t limit = static_cast<int64_t>(size) + 1;
  store::Page<Job> result;
  ASSIGN_OR_RETURN(
      result.items,
      store::ReadFor<std::vector<Job>>(
          db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<Job>> {
            ASSIGN_OR_RETURN(
                const std::vector<Row> rows,
                task.empty()
                    ? tx.Query(SelectJob() + " WHERE tenant=? AND id<?"
                                             " ORDER BY id DESC LIMIT ?",
                               {tenant, before, limit})
                    : tx.Query(SelectJob() +
                                   " WHERE tenant=? AND task=? AND id<?"
                                   " ORDER BY id DESC LIMIT ?",
                               {tenant, task, before, limit}));
            return JobsFromRows(rows);
          }));
  if (result.items.size() > size) {
    result.items.pop_back();
    result.next_page_token = absl::StrCat(result.items.back().id);
  }
  return result;
}

absl::StatusOr<std::vector<JobEvent>> JobStore::Events(
    const std::string& tenant, int64_t id, int64_t from_sequence, int limit) {
  return store::ReadFor<std::vector<JobEvent>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<JobEvent>> {
        RETURN_IF_ERROR(LoadJob(tx, tenant, id).status());
        return LoadEvents(tx, id, from_sequence,
                          std::clamp(limit, 1, kMaxEventsPerRead));
      });
}

absl::StatusOr<std::vector<Checkpoint>> JobStore::Checkpoints(
    const std::string& tenant, int64_t id) {
  return store::ReadFor<std::vector<Checkpoint>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<Checkpoint>> {
        RETURN_IF_ERROR(LoadJob(tx, tenant, id).status());
        return LoadCheckpoints(tx, id);
      });
}

absl::StatusOr<Job> JobStore::RequestCancel(const std::string& tenant,
                                            int64_t id, bool after_checkpoint) {
  return UpdateOwned(tenant, id, [&](Transaction& tx, Job& job) {
    if (job.state == JobState::kCancelled) return absl::OkStatus();
    if (IsTerminal(job.state)) return Finished(job);
    const bool hurries = job.cancel_after_checkpoint && !after_checkpoint;
    if (job.cancel_requested && !hurries) return absl::OkStatus();
    job.cancel_requested = true;
    const absl::Time now = clock_->Now();
    if (job.state != JobState::kRunning) {
      return Move(tx, job, JobState::kCancelled, now, "cancelled");
    }
    job.cancel_after_checkpoint = after_checkpoint;
    return AppendEvent(
        tx, job, now,
        after_checkpoint ? "cancelling behind a checkpoint" : "cancelling");
  });
}

absl::StatusOr<Job> JobStore::RequestPause(const std::string& tenant,
                                           int64_t id) {
  return UpdateOwned(tenant, id, [&](Transaction& tx, Job& job) {
    if (IsTerminal(job.state)) return Finished(job);
    if (job.state == JobState::kPaused || job.pause_requested) {
      return absl::OkStatus();
    }
    const absl::Time now = clock_->Now();
    if (job.state == JobState::kQueued) {
      return Move(tx, job, JobState::kPaused, now, "paused");
    }
    job.pause_requested = true;
    return AppendEvent(tx, job, now, "pausing");
  });
}

absl::StatusOr<Job> JobStore::Resume(const std::string& tenant, int64_t id) {
  return UpdateOwned(tenant, id, [&](Transaction& tx, Job& job) {
    if (IsTerminal(job.state)) return Finished(job);
    const absl::Time now = clock_->Now();
    if (job.state == JobState::kPaused) {
      job.run_at = now;
      return Move(tx, job, JobState::kQueued, now, "resumed");
    }
    if (!job.pause_requested) return absl::OkStatus();
    job.pause_requested = false;
    return AppendEvent(tx, job, now, "not pausing");
  });
}

absl::StatusOr<Job> JobStore::Retry(Transaction& tx, const std::string& tenant,
                                    int64_t id, const RetryRequest& request) {
  ASSIGN_OR_RETURN(const Job job, LoadJob(tx, tenant, id));
  if (job.state != JobState::kFailed && job.state != JobState::kCancelled) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "JOB_NOT_RETRYABLE",
        absl::StrCat("job ", id, " is ", JobStateName(job.state),
                     ": only one that failed or was cancelled can be tried "
                     "again"));
  }
  NewJob again;
  again.kind = job.kind;
  again.tenant = tenant;
  again.task = job.task;
  again.spec_json = job.spec_json;
  again.encoder_digest = job.encoder_digest;
  again.dataset_digest = job.dataset_digest;
  again.request_id = request.request_id;
  again.body_sha256 = request.body_sha256;
  again.retry_of = id;
  again.priority = job.priority;
  again.content_sha256 = job.content_sha256;
  if (!request.from_start) again.checkpoint_digest = job.checkpoint_digest;
  return Create(tx, again);
}

absl::StatusOr<Job> JobStore::Update(const Load& load, const Change& change) {
  return store::WriteFor<Job>(db_, [&](Transaction& tx) -> absl::StatusOr<Job> {
    ASSIGN_OR_RETURN(const Job before, load(tx));
    Job after = before;
    RETURN_IF_ERROR(change(tx, after));
    RETURN_IF_ERROR(Save(tx, before, after));
    return after;
  });
}

absl::StatusOr<Job> JobStore::UpdateOwned(const std::string& tenant, int64_t id,
                                          const Change& change) {
  return Update([&](Transaction& tx) { return LoadJob(tx, tenant, id); },
                change);
}

absl::StatusOr<Job> JobStore::UpdateLeased(int64_t id, int64_t fence,
                                           const Change& change) {
  return Update([&](Transaction& tx) { return LoadLeased(tx, id, fence); },
                change);
}

absl::Status JobStore::Save(Transaction& tx, const Job& before,
                            const Job& after) {
  RETURN_IF_ERROR(SaveJob(tx, before, after));
  const bool event = after.last_sequence != before.last_sequence;
  // An end makes room for the next job of a tenant at its bound.
  const bool work =
      after.state == JobState::kQueued ||
      (policy_.max_running_tenant > 0 && before.state == JobState::kRunning &&
       after.state != JobState::kRunning);
  if (event || work) {
    tx.AfterCommit([this, id = after.id, event, work]() {
      if (event) hub_.NotifyJob(id);
      if (work) NotifyWork();
    });
  }
  return absl::OkStatus();
}

void JobStore::NotifyWork() {
  waiting_.Hint();
  hub_.NotifyWork();
}

}  // namespace promptd::jobs

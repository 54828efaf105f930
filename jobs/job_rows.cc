#include "jobs/job_rows.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;
using store::Value;

Value MaybeText(const std::string& text) {
  return text.empty() ? Value() : Value(text);
}

Value MaybeTime(const std::optional<absl::Time>& time) {
  return time ? Value(*time) : Value();
}

absl::string_view JobKindName(JobKind kind) {
  return kind == JobKind::kTrain ? "train" : "evaluate";
}

absl::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSucceeded:
      return "succeeded";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kRetried:
      return "retried";
    case Outcome::kLost:
      return "lost";
    case Outcome::kReleased:
      return "released";
    case Outcome::kCancelled:
      return "cancelled";
    case Outcome::kPaused:
      return "paused";
  }
  return "";
}

absl::Status LeaseLost(int64_t id, int64_t fence) {
  return MakeError(absl::StatusCode::kAborted, "LEASE_LOST",
                   absl::StrCat("job ", id, " no longer runs under fence ",
                                fence, ": drop it"));
}

}  // namespace

const std::string& SelectJob() {
  static const std::string* const sql = new std::string(
      "SELECT id, tenant, task, state, spec, encoder_digest, dataset_digest,"
      " attempt, lost, fence, owner, checkpoint_digest, progress, result,"
      " version, error_reason, error_message, cancel_requested,"
      " pause_requested, last_sequence, created, run_at, started, ended,"
      " lease_until, kind, retry_of, priority, content_sha256,"
      " cancel_after_checkpoint FROM job");
  return *sql;
}

absl::StatusOr<Job> JobFromRow(const Row& row) {
  Job job;
  job.id = row.Int(0);
  const std::optional<JobState> state = ParseJobState(row.Text(3));
  if (!state) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_STORED_JOB",
        absl::StrCat("job ", job.id, " has the unknown state ", row.Text(3)));
  }
  job.kind = row.Text(25) == JobKindName(JobKind::kEvaluate)
                 ? JobKind::kEvaluate
                 : JobKind::kTrain;
  job.tenant = row.Text(1);
  job.task = row.Text(2);
  job.state = *state;
  job.spec_json = row.Text(4);
  job.encoder_digest = row.Text(5);
  job.dataset_digest = row.Text(6);
  job.attempt = static_cast<int>(row.Int(7));
  job.lost = static_cast<int>(row.Int(8));
  job.fence = row.Int(9);
  job.owner = row.Text(10);
  job.checkpoint_digest = row.Text(11);
  job.progress_json = row.Text(12);
  job.result_json = row.Text(13);
  job.version = row.Int(14);
  job.error_reason = row.Text(15);
  job.error_message = row.Text(16);
  job.cancel_requested = row.Bool(17);
  job.pause_requested = row.Bool(18);
  job.last_sequence = row.Int(19);
  job.create_time = row.Time(20);
  job.run_at = row.Time(21);
  job.start_time = row.MaybeTime(22);
  job.end_time = row.MaybeTime(23);
  job.lease_expires = row.MaybeTime(24);
  job.retry_of = row.Int(26);
  job.priority = static_cast<Priority>(row.Int(27));
  job.content_sha256 = row.Text(28);
  job.cancel_after_checkpoint = row.Bool(29);
  return job;
}

absl::StatusOr<std::vector<Job>> JobsFromRows(const std::vector<Row>& rows) {
  std::vector<Job> jobs;
  jobs.reserve(rows.size());
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(Job job, JobFromRow(row));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

absl::Time AsStored(absl::Time time) {
  return store::FromMillis(store::ToMillis(time));
}

absl::StatusOr<Job> InsertJob(Transaction& tx, const NewJob& asked,
                              absl::Time now) {
  Job job;
  job.kind = asked.kind;
  job.tenant = asked.tenant;
  job.task = asked.task;
  job.spec_json = asked.spec_json;
  job.encoder_digest = asked.encoder_digest;
  job.dataset_digest = asked.dataset_digest;
  job.checkpoint_digest = asked.checkpoint_digest;
  job.retry_of = asked.retry_of;
  job.priority = asked.priority;
  job.content_sha256 = asked.content_sha256;
  job.create_time = AsStored(now);
  job.run_at = job.create_time;
  const int64_t first_event = 1;
  RETURN_IF_ERROR(
      tx.Execute(
            "INSERT INTO job (kind, tenant, task, state, spec,"
            " encoder_digest, dataset_digest, request_id, body_sha256,"
            " run_at, created, checkpoint_digest, retry_of, priority,"
            " content_sha256, last_sequence) VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            {JobKindName(job.kind), job.tenant, job.task,
             JobStateName(job.state), job.spec_json, job.encoder_digest,
             job.dataset_digest, MaybeText(asked.request_id), asked.body_sha256,
             job.run_at, job.create_time, job.checkpoint_digest,
             job.retry_of == 0 ? Value() : Value(job.retry_of),
             static_cast<int>(job.priority), job.content_sha256, first_event})
          .status());
  job.id = tx.LastInsertId();
  RETURN_IF_ERROR(AppendEvent(
      tx, job, now,
      job.retry_of == 0
          ? "queued"
          : absl::StrCat("queued, to try job ", job.retry_of, " again",
                         job.checkpoint_digest.empty()
                             ? ""
                             : " from its last checkpoint")));
  return job;
}

absl::StatusOr<Job> LoadJob(Transaction& tx, const std::string& tenant,
                            int64_t id) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectJob() + " WHERE id=? AND tenant=?", {id, tenant}));
  if (rows.empty()) {
    return MakeError(
        absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
        absl::StrCat("no job ", id, ": `promptctl job list` shows your jobs"));
  }
  return JobFromRow(rows[0]);
}

absl::StatusOr<Job> LoadLeased(Transaction& tx, int64_t id, int64_t fence) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectJob() + " WHERE id=? AND fence=? AND state='running'",
               {id, fence}));
  if (rows.empty()) return LeaseLost(id, fence);
  return JobFromRow(rows[0]);
}

absl::Status SaveJob(Transaction& tx, const Job& before, const Job& after) {
  ASSIGN_OR_RETURN(
      const int64_t changed,
      tx.Execute("UPDATE job SET state=?, attempt=?, lost=?, fence=?, owner=?,"
                 " lease_until=?, run_at=?, checkpoint_digest=?, progress=?,"
                 " result=?, version=?, error_reason=?, error_message=?,"
                 " cancel_requested=?, cancel_after_checkpoint=?,"
                 " pause_requested=?, last_sequence=?, started=?, ended=?"
                 " WHERE id=? AND fence=? AND state=?",
                 {JobStateName(after.state),
                  after.attempt,
                  after.lost,
                  after.fence,
                  MaybeText(after.owner),
                  MaybeTime(after.lease_expires),
                  after.run_at,
                  after.checkpoint_digest,
                  after.progress_json,
                  after.result_json,
                  after.version == 0 ? Value() : Value(after.version),
                  after.error_reason,
                  after.error_message,
                  after.cancel_requested,
                  after.cancel_after_checkpoint,
                  after.pause_requested,
                  after.last_sequence,
                  MaybeTime(after.start_time),
                  MaybeTime(after.end_time),
                  before.id,
                  before.fence,
                  JobStateName(before.state)}));
  return changed == 1 ? absl::OkStatus() : LeaseLost(before.id, before.fence);
}

absl::Status Move(Transaction& tx, Job& job, JobState to, absl::Time now,
                  absl::string_view message) {
  if (!MayMove(job.state, to)) {
    return MakeError(
        absl::StatusCode::kInternal, "ILLEGAL_MOVE",
        absl::StrCat("job ", job.id, " cannot go from ",
                     JobStateName(job.state), " to ", JobStateName(to)));
  }
  job.state = to;
  if (to != JobState::kRunning) {
    job.owner.clear();
    job.lease_expires.reset();
    job.pause_requested = false;
  }
  if (IsTerminal(to)) job.end_time = now;
  return AppendEvent(tx, job, now, message);
}

absl::Status AppendEvent(Transaction& tx, Job& job, absl::Time now,
                         absl::string_view message,
                         absl::string_view progress_json) {
  ++job.last_sequence;
  return tx
      .Execute(
          "INSERT INTO job_event (job_id, sequence, time, state,"
          " progress, message, version) VALUES (?, ?, ?, ?, ?, ?, ?)",
          {job.id, job.last_sequence, now, JobStateName(job.state),
           progress_json, message, job.version})
      .status();
}

absl::StatusOr<std::vector<Checkpoint>> LoadCheckpoints(Transaction& tx,
                                                        int64_t job) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT number, epoch, step, blob_digest, bytes, created"
               " FROM job_checkpoint WHERE job_id=? ORDER BY number DESC",
               {job}));
  std::vector<Checkpoint> checkpoints;
  checkpoints.reserve(rows.size());
  for (const Row& row : rows) {
    Checkpoint& checkpoint = checkpoints.emplace_back();
    checkpoint.number = static_cast<int>(row.Int(0));
    checkpoint.epoch = static_cast<int>(row.Int(1));
    checkpoint.step = row.Int(2);
    checkpoint.blob_digest = row.Text(3);
    checkpoint.bytes = row.Int(4);
    checkpoint.create_time = row.Time(5);
  }
  return checkpoints;
}

absl::Status AddCheckpoint(Transaction& tx, int64_t job,
                           const NewCheckpoint& checkpoint, absl::Time now,
                           int most, int64_t most_bytes) {
  ASSIGN_OR_RETURN(const std::vector<Checkpoint> earlier,
                   LoadCheckpoints(tx, job));
  // The answer to the first time did not arrive.
  if (!earlier.empty() && earlier[0].blob_digest == checkpoint.blob_digest) {
    return absl::OkStatus();
  }
  const int number = earlier.empty() ? 1 : earlier[0].number + 1;
  RETURN_IF_ERROR(
      tx.Execute("INSERT INTO job_checkpoint (job_id, number, epoch, step,"
                 " blob_digest, bytes, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                 {job, number, checkpoint.epoch, checkpoint.step,
                  checkpoint.blob_digest, checkpoint.bytes, now})
          .status());
  int kept = 1;
  int64_t bytes = checkpoint.bytes;
  for (const Checkpoint& old : earlier) {
    bytes += old.bytes;
    if (++kept <= most && bytes <= most_bytes) continue;
    return tx
        .Execute("DELETE FROM job_checkpoint WHERE job_id=? AND number<=?",
                 {job, old.number})
        .status();
  }
  return absl::OkStatus();
}

absl::Status ForgetCheckpoints(Transaction& tx, int64_t job) {
  return tx.Execute("DELETE FROM job_checkpoint WHERE job_id=?", {job})
      .status();
}

absl::StatusOr<std::vector<JobEvent>> LoadEvents(Transaction& tx, int64_t id,
                                                 int64_t from_sequence,
                                                 int limit) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT sequence, time, state, progress, message, version"
               " FROM job_event WHERE job_id=? AND sequence>=?"
               " ORDER BY sequence LIMIT ?",
               {id, from_sequence, limit}));
  std::vector<JobEvent> events;
  events.reserve(rows.size());
  for (const Row& row : rows) {
    const std::optional<JobState> state = ParseJobState(row.Text(2));
    events.push_back({row.Int(0), row.Time(1),
                      state.value_or(JobState::kQueued), row.Text(3),
                      row.Text(4), row.Int(5)});
  }
  return events;
}

absl::Status BeginAttempt(Transaction& tx, const Job& job, absl::Time now) {
  return tx
      .Execute(
          "INSERT INTO job_attempt (job_id, fence, worker, started)"
          " VALUES (?, ?, ?, ?)",
          {job.id, job.fence, job.owner, now})
      .status();
}

absl::Status EndAttempt(Transaction& tx, const Job& job, Outcome outcome,
                        absl::string_view error, absl::Time now) {
  return tx
      .Execute(
          "UPDATE job_attempt SET ended=?, outcome=?, error=?"
          " WHERE job_id=? AND fence=? AND ended IS NULL",
          {now, OutcomeName(outcome), error, job.id, job.fence})
      .status();
}

}  // namespace promptd::jobs

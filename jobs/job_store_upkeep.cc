// Upkeep and waiting of JobStore.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "jobs/job_rows.h"
#include "jobs/job_store.h"
#include "store/transact.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;

// Leases ended in one transaction.
constexpr int kBatch = 100;

// Whether a version or an evaluation is the job's work.
absl::StatusOr<bool> HasWork(Transaction& tx, int64_t id) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT EXISTS (SELECT 1 FROM prompt_version WHERE job_id=?)"
               " OR EXISTS (SELECT 1 FROM evaluation WHERE job_id=?)",
               {id, id}));
  return rows.at(0).Bool(0);
}

absl::Status PruneJob(Transaction& tx, int64_t id, int64_t last_sequence) {
  ASSIGN_OR_RETURN(const bool stays, HasWork(tx, id));
  // Who watches the job still hears how it ended.
  RETURN_IF_ERROR(tx.Execute("DELETE FROM job_event WHERE job_id=? AND"
                             " sequence<?",
                             {id, stays ? last_sequence : INT64_MAX})
                      .status());
  RETURN_IF_ERROR(
      tx.Execute("DELETE FROM job_attempt WHERE job_id=?", {id}).status());
  RETURN_IF_ERROR(ForgetCheckpoints(tx, id));
  return tx
      .Execute(stays ? "UPDATE job SET pruned=1 WHERE id=?"
                     : "DELETE FROM job WHERE id=?",
               {id})
      .status();
}

}  // namespace

absl::StatusOr<int> JobStore::ExpireLeases() {
  return EndLeases("lease_until<?", {clock_->Now()});
}

absl::StatusOr<int> JobStore::RequeueRunningOf(const std::string& worker) {
  return EndLeases("owner=?", {worker});
}

absl::StatusOr<int> JobStore::EndLeases(
    const std::string& where, const std::vector<store::Value>& values) {
  const auto end_some = [&](Transaction& tx) -> absl::StatusOr<int> {
    std::vector<store::Value> bound = values;
    bound.emplace_back(kBatch);
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        tx.Query(absl::StrCat(SelectJob(), " WHERE state='running' AND ", where,
                              " ORDER BY lease_until, id LIMIT ?"),
                 bound));
    ASSIGN_OR_RETURN(const std::vector<Job> jobs, JobsFromRows(rows));
    for (const Job& before : jobs) {
      Job job = before;
      RETURN_IF_ERROR(EndLease(tx, job, clock_->Now()));
      RETURN_IF_ERROR(Save(tx, before, job));
    }
    return static_cast<int>(jobs.size());
  };
  int total = 0;
  for (int ended = kBatch; ended == kBatch; total += ended) {
    ASSIGN_OR_RETURN(ended, store::WriteFor<int>(db_, end_some));
  }
  return total;
}

absl::Status JobStore::LoseLease(int64_t id, int64_t fence) {
  const absl::Status lost =
      UpdateLeased(id, fence, [&](Transaction& tx, Job& job) {
        return EndLease(tx, job, clock_->Now());
      }).status();
  return absl::IsAborted(lost) ? absl::OkStatus() : lost;
}

absl::StatusOr<int> JobStore::ExtendLeases(absl::Duration lease) {
  return store::WriteFor<int>(db_, [&](Transaction& tx) -> absl::StatusOr<int> {
    const absl::Time until = clock_->Now() + lease;
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        tx.Query("UPDATE job SET lease_until=? WHERE state='running' AND"
                 " lease_until<? RETURNING id",
                 {until, until}));
    return static_cast<int>(rows.size());
  });
}

absl::Status JobStore::EndLease(Transaction& tx, Job& job, absl::Time now) {
  RETURN_IF_ERROR(EndAttempt(
      tx, job, job.cancel_requested ? Outcome::kCancelled : Outcome::kLost, "",
      now));
  if (job.cancel_requested) {
    return Move(tx, job, JobState::kCancelled, now, "cancelled");
  }
  ++job.lost;
  if (job.lost >= policy_.max_lost) {
    job.error_reason = "WORKER_LOST";
    job.error_message = absl::StrCat(
        "its worker was lost ", job.lost,
        " times in a row without a new checkpoint: look for a crash or a "
        "lack of memory in the worker's log before creating it again");
    return Move(tx, job, JobState::kFailed, now, job.error_message);
  }
  // The job did not fail, its worker did.
  job.attempt = std::max(0, job.attempt - 1);
  job.run_at = now;
  if (job.pause_requested) {
    return Move(tx, job, JobState::kPaused, now, "paused");
  }
  return Move(tx, job, JobState::kQueued, now,
              "its worker was lost; it resumes from the last checkpoint");
}

absl::StatusOr<int> JobStore::PruneFinished(int limit) {
  return store::WriteFor<int>(db_, [&](Transaction& tx) -> absl::StatusOr<int> {
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        tx.Query("SELECT id, last_sequence FROM job WHERE ended IS NOT NULL"
                 " AND pruned=0 AND ended<? ORDER BY ended LIMIT ?",
                 {clock_->Now() - policy_.keep_finished, limit}));
    for (const Row& row : rows) {
      RETURN_IF_ERROR(PruneJob(tx, row.Int(0), row.Int(1)));
    }
    return static_cast<int>(rows.size());
  });
}

absl::StatusOr<std::array<int64_t, kJobStateCount>> JobStore::CountByState() {
  using Counts = std::array<int64_t, kJobStateCount>;
  return store::ReadFor<Counts>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Counts> {
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query("SELECT state, COUNT(*) FROM job GROUP BY state", {}));
        Counts counts = {};
        for (const Row& row : rows) {
          const std::optional<JobState> state = ParseJobState(row.Text(0));
          if (state) counts[static_cast<size_t>(*state)] = row.Int(1);
        }
        return counts;
      });
}

absl::StatusOr<std::vector<Job>> JobStore::Unfinished(Transaction& tx,
                                                      const std::string& tenant,
                                                      const std::string& task) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectJob() + " WHERE tenant=? AND task=? AND state IN"
                             " ('queued', 'running', 'paused') ORDER BY id",
               {tenant, task}));
  return JobsFromRows(rows);
}

absl::StatusOr<std::vector<Job>> JobStore::LatestSucceeded(
    const std::string& encoder_digest, int limit) {
  return store::ReadFor<std::vector<Job>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<Job>> {
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query(SelectJob() +
                         " WHERE id>(SELECT COALESCE(MAX(id), 0)-1000 FROM job)"
                         " AND state='succeeded' AND kind='train'"
                         " AND encoder_digest=? ORDER BY id DESC LIMIT ?",
                     {encoder_digest, limit}));
        return JobsFromRows(rows);
      });
}

absl::StatusOr<std::vector<Job>> JobStore::Running(int limit) {
  return store::ReadFor<std::vector<Job>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<std::vector<Job>> {
        ASSIGN_OR_RETURN(const std::vector<Row> rows,
                         tx.Query(SelectJob() + " WHERE state='running'"
                                                " ORDER BY started, id LIMIT ?",
                                  {limit}));
        return JobsFromRows(rows);
      });
}

absl::StatusOr<bool> JobStore::WaitForEvents(const std::string& tenant,
                                             int64_t id, int64_t after_sequence,
                                             absl::Time deadline) {
  while (true) {
    const uint64_t seen = hub_.ChangeCount();
    ASSIGN_OR_RETURN(const Job job, Get(tenant, id));
    if (job.last_sequence > after_sequence) return true;
    if (IsTerminal(job.state)) return false;
    if (!hub_.WaitForChange(seen, deadline)) return false;
  }
}

std::unique_ptr<ChangeHub::Subscription> JobStore::Subscribe(
    std::function<void(int64_t job)> listener) {
  return hub_.Subscribe(std::move(listener));
}

std::unique_ptr<ChangeHub::Subscription> JobStore::SubscribeWork(
    std::function<void()> listener) {
  return hub_.SubscribeWork(std::move(listener));
}

}  // namespace promptd::jobs

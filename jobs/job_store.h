// The durable queue of training jobs: state machine, leases, fences, events.
//
// Every write of a worker names (job, fence) and holds only while the job runs
// under that fence; otherwise it is refused with ABORTED (LEASE_LOST), so a
// worker that was given up for dead can never touch its successor's job.
// Functions that take a Transaction& are halves of a caller's transaction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "jobs/change_hub.h"
#include "jobs/job.h"
#include "jobs/job_state.h"
#include "jobs/waiting_workers.h"
#include "store/database.h"
#include "store/page.h"

namespace promptd::jobs {

struct JobPolicy {
  int64_t max_unfinished = 1000;  // queued, running and paused, a tenant
  int max_attempts = 3;
  int max_lost = 3;  // leases lost in a row without a new checkpoint
  absl::Duration retry_base = absl::Seconds(2);
  absl::Duration retry_cap = absl::Minutes(1);
  int64_t max_progress_events = 10'000;  // a job; later ones update the job
  int max_running_tenant = 0;            // at once, on all workers; 0: no bound
  // A job that has waited so long counts as of the next higher priority.
  absl::Duration rise_after = absl::Minutes(10);
  // Finished jobs lose their events and claims after that long, and those that
  // made neither a version nor an evaluation go altogether.
  absl::Duration keep_finished = absl::Hours(24 * 90);
  // Of each job the last checkpoints stay listed: so many and, but for the very
  // last, of so many bytes together.
  int keep_checkpoints = 5;
  int64_t keep_checkpoint_bytes = int64_t{256} << 20;
};

struct RetryRequest {
  std::string request_id = {};  // empty: not idempotent
  std::string body_sha256 = {};
  bool from_start = false;
};

struct Directives {
  bool cancel = false;
  bool save_first = false;  // with `cancel`: behind a checkpoint
  bool pause = false;
};

// Thread-safe. `db` and `clock` are borrowed and must outlive it. All
// functions also return the store's errors (store/database.h).
class JobStore {
 public:
  JobStore(store::Database* db, const Clock* clock, JobPolicy policy = {});

  // --- for clients. NOT_FOUND (JOB_NOT_FOUND), also for another tenant's. ---

  // A durable job: queued, or running already where a worker of this process
  // waits for one. With a request_id that came before: the job made then if the
  // body is the same, else ALREADY_EXISTS (REQUEST_ID_REUSED).
  // RESOURCE_EXHAUSTED (TOO_MANY_JOBS).
  absl::StatusOr<Job> Create(const NewJob& job);
  absl::StatusOr<Job> Create(store::Transaction& tx, const NewJob& job);
  // The job that a repeated request made, to answer it before validating it
  // again. ALREADY_EXISTS (REQUEST_ID_REUSED).
  absl::StatusOr<std::optional<Job>> FindByRequest(
      const std::string& tenant, const std::string& request_id,
      const std::string& body_sha256);

  // A job that runs already, for work that its caller has done: to be completed
  // in the same transaction.
  absl::StatusOr<Job> CreateRunning(store::Transaction& tx, const NewJob& job,
                                    const std::string& owner);
  // The newest job that did the same and whose version is still there.
  absl::StatusOr<std::optional<Job>> FindSame(
      store::Transaction& tx, const std::string& tenant,
      const std::string& content_sha256);

  absl::StatusOr<Job> Get(const std::string& tenant, int64_t id);
  // Newest first; an empty task means all. INVALID_ARGUMENT
  // (INVALID_PAGE_TOKEN).
  absl::StatusOr<store::Page<Job>> List(const std::string& tenant,
                                        const std::string& task,
                                        const store::PageRequest& page);
  // Events from `from_sequence` (0 means 1) on, oldest first, at most `limit`.
  absl::StatusOr<std::vector<JobEvent>> Events(const std::string& tenant,
                                               int64_t id,
                                               int64_t from_sequence,
                                               int limit);
  // The checkpoints that are listed, newest first. None of a job that
  // succeeded, nor a week after the end of another.
  absl::StatusOr<std::vector<Checkpoint>> Checkpoints(const std::string& tenant,
                                                      int64_t id);
  // Queued and paused jobs end at once, a running one gets the flag: with
  // `after_checkpoint` it saves its state first. Cancelling again changes
  // nothing, but that it need not wait for a checkpoint any more.
  // FAILED_PRECONDITION (JOB_FINISHED) once it succeeded or failed.
  absl::StatusOr<Job> RequestCancel(const std::string& tenant, int64_t id,
                                    bool after_checkpoint = false);
  // Queued jobs pause at once, a running one gets the flag; pausing again
  // changes nothing. FAILED_PRECONDITION (JOB_FINISHED).
  absl::StatusOr<Job> RequestPause(const std::string& tenant, int64_t id);
  // Back to the queue; takes a pause flag back; else changes nothing.
  // FAILED_PRECONDITION (JOB_FINISHED).
  absl::StatusOr<Job> Resume(const std::string& tenant, int64_t id);
  // A new job that does what one did that failed or was cancelled, from its
  // last checkpoint unless `from_start`. Repeated requests and errors as of
  // Create; FAILED_PRECONDITION (JOB_NOT_RETRYABLE) in any other state.
  absl::StatusOr<Job> Retry(store::Transaction& tx, const std::string& tenant,
                            int64_t id, const RetryRequest& request);

  // --- for workers. ABORTED (LEASE_LOST) on a stale fence. ---

  // Claims a due job for one of these encoders: running, attempt and fence one
  // higher. By priority, which rises with waiting; then of the tenant with the
  // fewest running jobs; then the oldest. Tenants at their bound are passed
  // over. The time it takes does not grow with the number of jobs; with that of
  // tenants that wait only while the oldest job's tenant runs another one. When
  // there is none it waits for one: nothing after `wait`, on EndWait(), or when
  // asking again may help.
  absl::StatusOr<std::optional<Job>> Lease(
      const LeaseRequest& request, absl::Duration wait = absl::ZeroDuration());
  // Ends the waiting of this worker's Lease(), of the next one when none waits.
  void EndWait(const std::string& worker);
  absl::StatusOr<Directives> Heartbeat(int64_t id, int64_t fence,
                                       absl::Duration lease);
  absl::Status ReportProgress(int64_t id, int64_t fence,
                              const std::string& progress_json);
  // A digest other than the last one is progress: it clears `lost` and gets the
  // next number; older ones beyond the policy's bounds are forgotten.
  absl::Status SaveCheckpoint(int64_t id, int64_t fence,
                              const NewCheckpoint& checkpoint);
  // Queued again after a growing delay while attempts are left, else failed.
  // Not retryable: failed at once. A requested cancel wins: cancelled.
  absl::StatusOr<Job> Fail(int64_t id, int64_t fence, const absl::Status& error,
                           bool retryable);
  absl::Status ConfirmCancel(int64_t id, int64_t fence);
  absl::Status ConfirmPause(int64_t id, int64_t fence);
  // Queued again, at once and without costing an attempt (drain).
  absl::Status Release(int64_t id, int64_t fence);

  // The halves of a publication or of storing an evaluation: read the job
  // under its fence, then end it.
  absl::StatusOr<Job> GetLeased(store::Transaction& tx, int64_t id,
                                int64_t fence);
  absl::Status Complete(store::Transaction& tx, int64_t id, int64_t fence,
                        int64_t version, const std::string& result_json);

  // --- upkeep ---

  // Ends leases that ran out: cancelled if that was asked for, else queued
  // again, else failed (WORKER_LOST) after max_lost. Returns how many.
  absl::StatusOr<int> ExpireLeases();
  // The same for one job whose worker is known to be gone; nothing if it does
  // not run under this fence any more.
  absl::Status LoseLease(int64_t id, int64_t fence);
  // The same for every job that `worker` runs: called at start, before any
  // lease, by a process that this worker lived in.
  absl::StatusOr<int> RequeueRunningOf(const std::string& worker);
  // Running jobs are held for another `lease` from now on: called at start, as
  // their workers could not reach a front end that was down.
  absl::StatusOr<int> ExtendLeases(absl::Duration lease);
  // Forgets what finished longer ago than the policy keeps, at most `limit`
  // jobs; of the others' events the last stays. Returns how many were looked
  // at.
  absl::StatusOr<int> PruneFinished(int limit);
  // Of all tenants, indexed by JobState.
  absl::StatusOr<std::array<int64_t, kJobStateCount>> CountByState();
  // Queued, running and paused jobs of a task, oldest first.
  absl::StatusOr<std::vector<Job>> Unfinished(store::Transaction& tx,
                                              const std::string& tenant,
                                              const std::string& task);
  // Trainings of this encoder that succeeded among the last 1000 jobs of all
  // tenants, newest first.
  absl::StatusOr<std::vector<Job>> LatestSucceeded(
      const std::string& encoder_digest, int limit);
  // Running jobs of all tenants, oldest first (for metrics; at most `limit`).
  absl::StatusOr<std::vector<Job>> Running(int limit);

  // --- waiting; see jobs/change_hub.h ---

  // True once the job has an event after `after_sequence`; false at the
  // deadline, or at once when the job has ended without one.
  absl::StatusOr<bool> WaitForEvents(const std::string& tenant, int64_t id,
                                     int64_t after_sequence,
                                     absl::Time deadline);
  // Calls back after each commit that gave a job an event, until the result
  // is dropped.
  std::unique_ptr<ChangeHub::Subscription> Subscribe(
      std::function<void(int64_t job)> listener);
  // Calls back whenever a job may be there that no worker of this process was
  // given, until the result is dropped.
  std::unique_ptr<ChangeHub::Subscription> SubscribeWork(
      std::function<void()> listener);

 private:
  using Load = std::function<absl::StatusOr<Job>(store::Transaction&)>;
  using Change = std::function<absl::Status(store::Transaction&, Job&)>;

  // Loads, changes and saves a job in one transaction, and wakes waiters.
  absl::StatusOr<Job> Update(const Load& load, const Change& change);
  absl::StatusOr<Job> UpdateOwned(const std::string& tenant, int64_t id,
                                  const Change& change);
  absl::StatusOr<Job> UpdateLeased(int64_t id, int64_t fence,
                                   const Change& change);
  // Saves a job that `before` was loaded as; the half of Update.
  absl::Status Save(store::Transaction& tx, const Job& before,
                    const Job& after);
  // The queued job with a new attempt under a new fence: `owner` has it until
  // `expires`.
  absl::StatusOr<Job> StartAttempt(store::Transaction& tx, const Job& queued,
                                   const std::string& owner, absl::Time now,
                                   absl::Time expires,
                                   absl::string_view message);
  // The next due job for this worker, running under its lease.
  absl::StatusOr<std::optional<Job>> LeaseDue(store::Transaction& tx,
                                              const LeaseRequest& request);
  // Leases what is due now that `created` is there to a worker that waits, if
  // there is one, or tells others of it.
  absl::Status HandOver(store::Transaction& tx, Job* created);
  void NotifyWork();
  absl::Status EndLease(store::Transaction& tx, Job& job, absl::Time now);
  absl::StatusOr<int> EndLeases(const std::string& where,
                                const std::vector<store::Value>& values);

  store::Database* const db_;
  const Clock* const clock_;
  const JobPolicy policy_;
  ChangeHub hub_;
  WaitingWorkers waiting_;
};

}  // namespace promptd::jobs

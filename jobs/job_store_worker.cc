// The worker's half of JobStore: every function is guarded by (id, fence).
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "jobs/job_choice.h"
#include "jobs/job_rows.h"
#include "jobs/job_store.h"
#include "store/transact.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;

constexpr size_t kMaxErrorBytes = 4096;

// The longer a job has failed, the longer it rests; spread by half to both
// sides so that jobs that failed together do not come back together. The
// spread follows from (id, fence), so a test can rely on it.
absl::Duration RetryDelay(const Job& job, const JobPolicy& policy) {
  const int doublings = std::clamp(job.attempt - 1, 0, 16);
  const absl::Duration delay =
      std::min(policy.retry_cap, policy.retry_base * (int64_t{1} << doublings));
  uint64_t mixed = static_cast<uint64_t>(job.id) * 0x9e3779b97f4a7c15u +
                   static_cast<uint64_t>(job.fence);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  const double unit = static_cast<double>(mixed >> 11) / 9007199254740992.0;
  return delay * (0.5 + unit);
}

absl::StatusOr<Job> LoadById(Transaction& tx, int64_t id) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query(SelectJob() + " WHERE id=?", {id}));
  return JobFromRow(rows.at(0));
}

}  // namespace

absl::StatusOr<Job> JobStore::StartAttempt(Transaction& tx, const Job& queued,
                                           const std::string& owner,
                                           absl::Time now, absl::Time expires,
                                           absl::string_view message) {
  Job job = queued;
  ++job.attempt;
  ++job.fence;
  job.owner = owner;
  job.lease_expires = AsStored(expires);
  if (!job.start_time) job.start_time = now;
  RETURN_IF_ERROR(Move(tx, job, JobState::kRunning, now, message));
  RETURN_IF_ERROR(BeginAttempt(tx, job, now));
  RETURN_IF_ERROR(Save(tx, queued, job));
  return job;
}

absl::StatusOr<std::optional<Job>> JobStore::LeaseDue(
    Transaction& tx, const LeaseRequest& request) {
  const absl::Time now = AsStored(clock_->Now());
  ASSIGN_OR_RETURN(const int64_t id,
                   FindDue(tx, request.encoder_digests, policy_, now));
  if (id == 0) return std::optional<Job>();
  ASSIGN_OR_RETURN(const Job queued, LoadById(tx, id));
  ASSIGN_OR_RETURN(
      Job job,
      StartAttempt(tx, queued, request.worker, now, now + request.lease,
                   absl::StrCat("running on ", request.worker)));
  return std::optional<Job>(std::move(job));
}

absl::StatusOr<std::optional<Job>> JobStore::Lease(const LeaseRequest& request,
                                                   absl::Duration wait) {
  std::unique_ptr<WaitingWorkers::Place> place;
  absl::StatusOr<std::optional<Job>> leased =
      store::WriteFor<std::optional<Job>>(
          db_, [&](Transaction& tx) -> absl::StatusOr<std::optional<Job>> {
            ASSIGN_OR_RETURN(std::optional<Job> due, LeaseDue(tx, request));
            if (!due && wait > absl::ZeroDuration()) {
              place =
                  std::make_unique<WaitingWorkers::Place>(&waiting_, request);
            }
            return due;
          });
  // Whoever stands in the line may have been given a job already.
  if (place != nullptr) {
    std::optional<Job> given;
    if (place->Wait(wait, &given) == WaitingWorkers::End::kHint) {
      return Lease(request);
    }
    leased = std::move(given);
  }
  if (leased.ok() && leased->has_value()) FailpointStep("job.leased");
  return leased;
}

absl::Status JobStore::HandOver(Transaction& tx, Job* created) {
  const std::shared_ptr<WaitingWorkers::Offer> offer =
      waiting_.Find(created->encoder_digest);
  std::optional<Job> leased;
  if (offer != nullptr) {
    ASSIGN_OR_RETURN(leased, LeaseDue(tx, offer->request()));
  }
  if (leased) tx.AfterCommit([offer, job = *leased] { offer->Deliver(job); });
  if (leased && leased->id == created->id) {
    *created = *std::move(leased);
  } else {
    tx.AfterCommit([this, id = created->id] {
      hub_.NotifyJob(id);
      NotifyWork();
    });
  }
  return absl::OkStatus();
}

void JobStore::EndWait(const std::string& worker) { waiting_.SendAway(worker); }

absl::StatusOr<Directives> JobStore::Heartbeat(int64_t id, int64_t fence,
                                               absl::Duration lease) {
  ASSIGN_OR_RETURN(const Job job,
                   UpdateLeased(id, fence, [&](Transaction&, Job& beating) {
                     beating.lease_expires = clock_->Now() + lease;
                     return absl::OkStatus();
                   }));
  FailpointStep("lease.beaten");
  return Directives{.cancel = job.cancel_requested,
                    .save_first = job.cancel_after_checkpoint,
                    .pause = job.pause_requested};
}

absl::Status JobStore::ReportProgress(int64_t id, int64_t fence,
                                      const std::string& progress_json) {
  return UpdateLeased(id, fence,
                      [&](Transaction& tx, Job& job) {
                        job.progress_json = progress_json;
                        if (job.last_sequence >= policy_.max_progress_events) {
                          return absl::OkStatus();
                        }
                        return AppendEvent(tx, job, clock_->Now(), "",
                                           progress_json);
                      })
      .status();
}

absl::Status JobStore::SaveCheckpoint(int64_t id, int64_t fence,
                                      const NewCheckpoint& checkpoint) {
  return UpdateLeased(id, fence,
                      [&](Transaction& tx, Job& job) -> absl::Status {
                        if (job.checkpoint_digest != checkpoint.blob_digest) {
                          job.lost = 0;
                        }
                        job.checkpoint_digest = checkpoint.blob_digest;
                        return AddCheckpoint(tx, id, checkpoint, clock_->Now(),
                                             policy_.keep_checkpoints,
                                             policy_.keep_checkpoint_bytes);
                      })
      .status();
}

absl::StatusOr<Job> JobStore::Fail(int64_t id, int64_t fence,
                                   const absl::Status& error, bool retryable) {
  return UpdateLeased(
      id, fence, [&](Transaction& tx, Job& job) -> absl::Status {
        const absl::Time now = clock_->Now();
        const std::string message(error.message().substr(0, kMaxErrorBytes));
        Outcome outcome = Outcome::kRetried;
        JobState next = JobState::kQueued;
        if (job.cancel_requested) {
          outcome = Outcome::kCancelled;
          next = JobState::kCancelled;
        } else if (!retryable || job.attempt >= policy_.max_attempts) {
          outcome = Outcome::kFailed;
          next = JobState::kFailed;
        } else if (job.pause_requested) {
          outcome = Outcome::kPaused;
          next = JobState::kPaused;
        }
        RETURN_IF_ERROR(EndAttempt(tx, job, outcome, message, now));
        if (next != JobState::kCancelled) {
          job.error_reason = ErrorReason(error);
          job.error_message = message;
        }
        if (next == JobState::kQueued) {
          job.run_at = now + RetryDelay(job, policy_);
        }
        return Move(tx, job, next, now,
                    next == JobState::kCancelled
                        ? "cancelled"
                        : absl::StrCat(outcome == Outcome::kRetried
                                           ? "will be tried again: "
                                           : "",
                                       message));
      });
}

absl::Status JobStore::ConfirmCancel(int64_t id, int64_t fence) {
  return UpdateLeased(id, fence,
                      [&](Transaction& tx, Job& job) -> absl::Status {
                        const absl::Time now = clock_->Now();
                        RETURN_IF_ERROR(
                            EndAttempt(tx, job, Outcome::kCancelled, "", now));
                        return Move(tx, job, JobState::kCancelled, now,
                                    "cancelled");
                      })
      .status();
}

absl::Status JobStore::ConfirmPause(int64_t id, int64_t fence) {
  return UpdateLeased(
             id, fence,
             [&](Transaction& tx, Job& job) -> absl::Status {
               const absl::Time now = clock_->Now();
               const bool cancel = job.cancel_requested;
               RETURN_IF_ERROR(EndAttempt(
                   tx, job, cancel ? Outcome::kCancelled : Outcome::kPaused, "",
                   now));
               // The pause itself was no failed try.
               job.attempt = std::max(0, job.attempt - 1);
               return Move(tx, job,
                           cancel ? JobState::kCancelled : JobState::kPaused,
                           now, cancel ? "cancelled" : "paused");
             })
      .status();
}

absl::Status JobStore::Release(int64_t id, int64_t fence) {
  return UpdateLeased(
             id, fence,
             [&](Transaction& tx, Job& job) -> absl::Status {
               const absl::Time now = clock_->Now();
               RETURN_IF_ERROR(
                   EndAttempt(tx, job, Outcome::kReleased, "", now));
               job.attempt = std::max(0, job.attempt - 1);
               job.run_at = now;
               if (job.cancel_requested) {
                 return Move(tx, job, JobState::kCancelled, now, "cancelled");
               }
               if (job.pause_requested) {
                 return Move(tx, job, JobState::kPaused, now, "paused");
               }
               return Move(tx, job, JobState::kQueued, now,
                           "given back by its worker");
             })
      .status();
}

absl::StatusOr<Job> JobStore::GetLeased(Transaction& tx, int64_t id,
                                        int64_t fence) {
  return LoadLeased(tx, id, fence);
}

absl::Status JobStore::Complete(Transaction& tx, int64_t id, int64_t fence,
                                int64_t version,
                                const std::string& result_json) {
  ASSIGN_OR_RETURN(const Job before, LoadLeased(tx, id, fence));
  const absl::Time now = clock_->Now();
  RETURN_IF_ERROR(EndAttempt(tx, before, Outcome::kSucceeded, "", now));
  RETURN_IF_ERROR(ForgetCheckpoints(tx, id));
  Job job = before;
  job.version = version;
  job.result_json = result_json;
  job.error_reason.clear();
  job.error_message.clear();
  RETURN_IF_ERROR(
      Move(tx, job, JobState::kSucceeded, now,
           absl::StrCat(job.kind == JobKind::kTrain ? "published" : "evaluated",
                        " version ", version)));
  return Save(tx, before, job);
}

}  // namespace promptd::jobs

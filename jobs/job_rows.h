// Jobs as rows: reading, writing, and the one way to change a state.
// Private to the room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/job.h"
#include "jobs/job_state.h"
#include "store/database.h"

namespace promptd::jobs {

// How a claim ended; the column job_attempt.outcome.
enum class Outcome {
  kSucceeded,
  kFailed,
  kRetried,
  kLost,
  kReleased,
  kCancelled,
  kPaused,
};

// "SELECT <columns of JobFromRow> FROM job".
const std::string& SelectJob();
// INTERNAL (BAD_STORED_JOB).
absl::StatusOr<Job> JobFromRow(const store::Row& row);
absl::StatusOr<std::vector<Job>> JobsFromRows(
    const std::vector<store::Row>& rows);

// What is read back of a time that is stored: whole milliseconds.
absl::Time AsStored(absl::Time time);
// A queued job with its first event.
absl::StatusOr<Job> InsertJob(store::Transaction& tx, const NewJob& asked,
                              absl::Time now);

// NOT_FOUND (JOB_NOT_FOUND).
absl::StatusOr<Job> LoadJob(store::Transaction& tx, const std::string& tenant,
                            int64_t id);
// The job while it runs under this fence. ABORTED (LEASE_LOST).
absl::StatusOr<Job> LoadLeased(store::Transaction& tx, int64_t id,
                               int64_t fence);

// Writes what may change in a job, provided that its state and fence are
// still those of `before`. ABORTED (LEASE_LOST).
absl::Status SaveJob(store::Transaction& tx, const Job& before,
                     const Job& after);

// Changes the state in memory with all that follows from it (owner, lease,
// flags, end time) and appends the event. INTERNAL (ILLEGAL_MOVE).
absl::Status Move(store::Transaction& tx, Job& job, JobState to, absl::Time now,
                  absl::string_view message);

// Appends an event with the next number and the job's state and version.
absl::Status AppendEvent(store::Transaction& tx, Job& job, absl::Time now,
                         absl::string_view message,
                         absl::string_view progress_json = "");

absl::StatusOr<std::vector<JobEvent>> LoadEvents(store::Transaction& tx,
                                                 int64_t id,
                                                 int64_t from_sequence,
                                                 int limit);

// Newest first.
absl::StatusOr<std::vector<Checkpoint>> LoadCheckpoints(store::Transaction& tx,
                                                        int64_t job);
// Gives it the next number of its job, unless it is the last one once more, and
// forgets the oldest ones until at most `most` stay, of at most `most_bytes`;
// the newest always does.
absl::Status AddCheckpoint(store::Transaction& tx, int64_t job,
                           const NewCheckpoint& checkpoint, absl::Time now,
                           int most, int64_t most_bytes);
absl::Status ForgetCheckpoints(store::Transaction& tx, int64_t job);

// The history of claims.
absl::Status BeginAttempt(store::Transaction& tx, const Job& job,
                          absl::Time now);
absl::Status EndAttempt(store::Transaction& tx, const Job& job, Outcome outcome,
                        absl::string_view error, absl::Time now);

}  // namespace promptd::jobs

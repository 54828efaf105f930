// A training job as it is stored, and its numbered events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/job_state.h"

namespace promptd::jobs {

// What a job does; the queue treats all kinds alike.
enum class JobKind {
  kTrain,     // publishes a version
  kEvaluate,  // scores one
};

// Which jobs go first. One that waits long rises.
enum class Priority {
  kInteractive = 1,  // somebody waits for it
  kNormal = 2,
  kBatch = 3,  // whenever there is time
};

// What a caller asks for. The JSON texts are opaque here.
struct NewJob {
  JobKind kind = JobKind::kTrain;
  std::string tenant;
  std::string task;
  std::string spec_json;  // resolved
  std::string encoder_digest;
  std::string dataset_digest;
  std::string request_id;              // empty: not idempotent
  std::string body_sha256;             // of the request as the client sent it
  int64_t retry_of = 0;                // the job that this one tries again
  std::string checkpoint_digest = {};  // to go on from; empty: from the start
  Priority priority = Priority::kNormal;
  std::string content_sha256 = {};  // equal for jobs with equal results
};

struct Job {
  int64_t id = 0;
  JobKind kind = JobKind::kTrain;
  std::string tenant;
  std::string task;
  JobState state = JobState::kQueued;
  std::string spec_json;
  std::string encoder_digest;
  std::string dataset_digest;
  // Claims that count: a lease that was lost or given back does not. 0 before
  // the first claim, 1 during the first.
  int attempt = 0;
  int lost = 0;       // leases lost since the last new checkpoint
  int64_t fence = 0;  // grows by one with every claim
  std::string owner;  // the worker, while running
  std::string checkpoint_digest;
  std::string progress_json;  // the latest; empty before the first
  std::string result_json;    // once succeeded
  int64_t version = 0;        // once succeeded: published, or evaluated
  std::string error_reason;   // once failed, or of the last failed attempt
  std::string error_message;
  bool cancel_requested = false;
  bool cancel_after_checkpoint = false;  // a cancel that lets it save first
  bool pause_requested = false;
  int64_t last_sequence = 0;  // of its events
  int64_t retry_of = 0;       // the job that this one tries again; 0: none
  Priority priority = Priority::kNormal;
  std::string content_sha256;
  absl::Time create_time;
  absl::Time run_at;                        // not claimed before
  std::optional<absl::Time> start_time;     // of the first claim
  std::optional<absl::Time> end_time;       // once terminal
  std::optional<absl::Time> lease_expires;  // while running

  friend bool operator==(const Job&, const Job&) = default;
};

// A worker that asks for a job.
struct LeaseRequest {
  std::string worker;
  std::vector<std::string> encoder_digests;  // that it holds
  absl::Duration lease;
};

// The state of a running job that its worker stored.
struct NewCheckpoint {
  std::string blob_digest;
  int epoch = 0;      // epochs that were complete
  int64_t step = 0;   // steps that were taken
  int64_t bytes = 0;  // of the blob
};

struct Checkpoint : NewCheckpoint {
  int number = 0;  // 1, 2, ... within the job
  absl::Time create_time;
};

struct JobEvent {
  int64_t sequence = 0;  // 1, 2, 3, ... without gaps in a job
  absl::Time time;
  JobState state = JobState::kQueued;  // after this event
  std::string progress_json;           // on progress events
  std::string message;                 // on state changes
  int64_t version = 0;  // on the event that published or evaluated one
};

}  // namespace promptd::jobs

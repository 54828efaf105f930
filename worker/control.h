// The door through which a worker reaches its front end: lease jobs, report,
// publish, fetch blobs. Every write names (job, fence); a stale fence gets
// ABORTED (LEASE_LOST) and the worker must drop the job at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datasets/manifest.h"
#include "worker/evaluation.h"
#include "worker/evaluation_spec.h"
#include "worker/training_spec.h"

namespace promptd::worker {

struct LeasedJob {
  int64_t id = 0;
  int64_t fence = 0;
  int attempt = 1;
  TrainingSpec spec;  // of a training job
  // Of an evaluation job, and only of one.
  std::optional<EvaluationSpec> evaluation;
  // Blob digest of the last checkpoint; empty to start from scratch.
  std::string checkpoint_digest;
  // How long the lease holds without a heartbeat, and from when a worker counts
  // it: not after it began, MonotonicNanoseconds() of this process.
  absl::Duration lease = absl::InfiniteDuration();
  int64_t leased_ns = 0;
};

struct Progress {
  std::string phase;  // "decode", "encode", "train", "evaluate"
  int epoch = 0;      // finished epochs
  int epochs = 0;
  int64_t step = 0;
  int64_t steps = 0;
  double loss = 0;
  double accuracy = 0;  // 0..1
  double learning_rate = 0;
  double fraction = 0;  // of the whole job, 0..1
  std::optional<absl::Duration> eta;
};

// kSaveAndCancel: a checkpoint as before a pause, then the end.
enum class Directive { kContinue, kPause, kCancel, kSaveAndCancel };

// A checkpoint whose blob is stored, and where its job stood.
struct SavedCheckpoint {
  std::string blob_digest;
  int epoch = 0;     // epochs that were complete
  int64_t step = 0;  // steps that were taken
};

// What a finished job hands over; blobs are already stored.
struct FinishedPrompt {
  // Safetensors of what was learned: "ctx" [M, W] or [C, M, W] of a context;
  // other methods' tensors by name; empty when the head is all there is.
  std::string context_digest;
  std::string features_digest;  // the head, worker/head_blob.h
  std::vector<std::string> class_names;
  Evaluation evaluation;  // scored() is false when there was no dataset
};

// Thread-safe.
class Control {
 public:
  virtual ~Control() = default;

  // The next job for one of these encoders. While there is none it waits: it
  // returns nothing after `wait`, on EndWait(), or when asking again may help.
  virtual absl::StatusOr<std::optional<LeasedJob>> Lease(
      const std::string& worker_id,
      const std::vector<std::string>& encoder_digests, absl::Duration wait) = 0;
  // Ends the waiting of this worker's Lease(), of the next one when none waits.
  virtual void EndWait(const std::string& worker_id) = 0;

  // Extends the lease and says what to do.
  virtual absl::StatusOr<Directive> Heartbeat(int64_t job, int64_t fence) = 0;

  // A numbered progress event for watchers; also the job's latest progress.
  virtual absl::Status ReportProgress(int64_t job, int64_t fence,
                                      const Progress& progress) = 0;

  // Makes a stored blob the job's resume point.
  virtual absl::Status SaveCheckpoint(int64_t job, int64_t fence,
                                      const SavedCheckpoint& checkpoint) = 0;

  // One transaction: version number, manifest, event, alias on the first
  // publication, job succeeded. Returns the version.
  virtual absl::StatusOr<int64_t> Publish(int64_t job, int64_t fence,
                                          const FinishedPrompt& prompt) = 0;

  // One transaction: the evaluation of the version that the job's
  // specification names, event, job succeeded.
  virtual absl::Status StoreEvaluation(int64_t job, int64_t fence,
                                       const Evaluation& evaluation) = 0;

  // Ends or retries the job, by the error's code: INVALID_ARGUMENT,
  // FAILED_PRECONDITION, DATA_LOSS and OUT_OF_RANGE end it, others are
  // retried while attempts are left.
  virtual absl::Status Fail(int64_t job, int64_t fence,
                            const absl::Status& error) = 0;

  // Answers a kCancel or kSaveAndCancel directive: the job is cancelled.
  virtual absl::Status ConfirmCancel(int64_t job, int64_t fence) = 0;

  // Answers a kPause directive after a checkpoint: the job is paused.
  virtual absl::Status ConfirmPause(int64_t job, int64_t fence) = 0;

  // Gives the job back to the queue (drain); costs no attempt.
  virtual absl::Status Release(int64_t job, int64_t fence) = 0;

  // The manifest of a dataset by its digest. NOT_FOUND (DATASET_NOT_FOUND).
  virtual absl::StatusOr<datasets::Manifest> GetManifest(
      const std::string& dataset_digest) = 0;

  // A blob's bytes, verified. NOT_FOUND (BLOB_NOT_FOUND); DATA_LOSS
  // (BLOB_CORRUPT).
  virtual absl::StatusOr<std::string> GetBlob(const std::string& digest) = 0;

  // Stores bytes, returns their SHA-256. RESOURCE_EXHAUSTED (DISK_FULL).
  virtual absl::StatusOr<std::string> PutBlob(const std::string& bytes) = 0;

  // A feature blob by its recipe key, if one was stored; and its storing.
  // The digest is bound to the key for ever.
  virtual absl::StatusOr<std::optional<std::string>> FindFeatures(
      const std::string& key) = 0;
  virtual absl::Status RecordFeatures(const std::string& key,
                                      const std::string& digest) = 0;
};

}  // namespace promptd::worker

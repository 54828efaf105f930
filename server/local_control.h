// What a worker inside this process asks of its front end: the queue, the
// registry and the blobs, without a wire in between.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/job.h"
#include "server/backend.h"
#include "worker/control.h"

namespace promptd::server {

// Contracts: worker/control.h. A leased job whose stored specification cannot
// be read is failed here and the next one is tried. Thread-safe.
class LocalControl : public worker::Control {
 public:
  // `backend` is borrowed; its executor is not used.
  LocalControl(const Backend* backend, absl::Duration lease);

  absl::StatusOr<std::optional<worker::LeasedJob>> Lease(
      const std::string& worker_id,
      const std::vector<std::string>& encoder_digests,
      absl::Duration wait) override;
  void EndWait(const std::string& worker_id) override;
  absl::StatusOr<worker::Directive> Heartbeat(int64_t job,
                                              int64_t fence) override;
  absl::Status ReportProgress(int64_t job, int64_t fence,
                              const worker::Progress& progress) override;
  absl::Status SaveCheckpoint(
      int64_t job, int64_t fence,
      const worker::SavedCheckpoint& checkpoint) override;
  absl::StatusOr<int64_t> Publish(
      int64_t job, int64_t fence,
      const worker::FinishedPrompt& prompt) override;
  absl::Status StoreEvaluation(int64_t job, int64_t fence,
                               const worker::Evaluation& evaluation) override;
  absl::Status Fail(int64_t job, int64_t fence,
                    const absl::Status& error) override;
  absl::Status ConfirmCancel(int64_t job, int64_t fence) override;
  absl::Status ConfirmPause(int64_t job, int64_t fence) override;
  absl::Status Release(int64_t job, int64_t fence) override;
  absl::StatusOr<datasets::Manifest> GetManifest(
      const std::string& dataset_digest) override;
  absl::StatusOr<std::string> GetBlob(const std::string& digest) override;
  absl::StatusOr<std::string> PutBlob(const std::string& bytes) override;
  absl::StatusOr<std::optional<std::string>> FindFeatures(
      const std::string& key) override;
  absl::Status RecordFeatures(const std::string& key,
                              const std::string& digest) override;

 private:
  // MonotonicNanoseconds() when the lease of a running job began, or earlier.
  int64_t LeasedSince(const jobs::Job& job) const;
  // Counts a job that just ended as `result`.
  void Ended(const std::string& result, const jobs::Job& job);

  const Backend& backend_;
  const absl::Duration lease_;
  absl::Mutex mutex_;
  // Jobs that this process leased and did not see end, for their run time.
  std::map<int64_t, jobs::Job> leased_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server

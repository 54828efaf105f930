// A front end in memory: one job at a time, blobs in a map, every write
// recorded. For tests of the worker. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/control.h"

namespace promptd::worker {

class FakeControl : public Control {
 public:
  // Queues a job; ids are 1, 2, ...; returns the id.
  int64_t Enqueue(const TrainingSpec& spec,
                  const std::string& checkpoint_digest = "");
  int64_t Enqueue(const EvaluationSpec& spec);
  void AddManifest(const std::string& digest,
                   const datasets::Manifest& manifest);
  // What the next heartbeats answer.
  void SetDirective(Directive directive);
  // From now on every write with the current fence is stale.
  void LoseLease();

  // Waits until the job has ended in any way; its end, e.g. "published",
  // "failed: <reason>", "cancelled", "paused", "released".
  std::string WaitForEnd(int64_t job);
  std::optional<FinishedPrompt> published(int64_t job) const;
  std::optional<Evaluation> evaluated(int64_t job) const;
  std::string last_checkpoint() const;
  SavedCheckpoint last_saved() const;
  std::vector<Progress> progress() const;
  // As if no features had been stored.
  void ForgetFeatures();
  // Feature blobs that were recorded, in all.
  int recorded_features() const;
  // Calls `hook` on every RecordFeatures with its number, 1, 2, ...
  void OnFeatures(std::function<void(int)> hook);
  // Calls `hook` on every SaveCheckpoint with its number, 1, 2, ...
  void OnCheckpoint(std::function<void(int)> hook);

  absl::StatusOr<std::optional<LeasedJob>> Lease(
      const std::string& worker_id,
      const std::vector<std::string>& encoder_digests,
      absl::Duration wait) override;
  void EndWait(const std::string& worker_id) override;
  absl::StatusOr<Directive> Heartbeat(int64_t job, int64_t fence) override;
  absl::Status ReportProgress(int64_t job, int64_t fence,
                              const Progress& progress) override;
  absl::Status SaveCheckpoint(int64_t job, int64_t fence,
                              const SavedCheckpoint& checkpoint) override;
  absl::StatusOr<int64_t> Publish(int64_t job, int64_t fence,
                                  const FinishedPrompt& prompt) override;
  absl::Status StoreEvaluation(int64_t job, int64_t fence,
                               const Evaluation& evaluation) override;
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
  int64_t Add(LeasedJob job);
  absl::Status CheckFence(int64_t fence) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status End(int64_t job, int64_t fence, const std::string& how);

  mutable absl::Mutex mutex_;
  std::vector<LeasedJob> queue_ ABSL_GUARDED_BY(mutex_);
  int64_t next_job_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t fence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  Directive directive_ ABSL_GUARDED_BY(mutex_) = Directive::kContinue;
  std::map<int64_t, std::string> ends_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, FinishedPrompt> published_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, Evaluation> evaluated_ ABSL_GUARDED_BY(mutex_);
  SavedCheckpoint checkpoint_ ABSL_GUARDED_BY(mutex_);
  int checkpoints_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(int)> checkpoint_hook_ ABSL_GUARDED_BY(mutex_);
  int recorded_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(int)> features_hook_ ABSL_GUARDED_BY(mutex_);
  std::vector<Progress> progress_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, datasets::Manifest> manifests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> features_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker

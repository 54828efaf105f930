#include "tests/worker/fake_control.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/monotonic.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::worker {

int64_t FakeControl::Enqueue(const TrainingSpec& spec,
                             const std::string& checkpoint_digest) {
  LeasedJob job;
  job.spec = spec;
  job.checkpoint_digest = checkpoint_digest;
  return Add(std::move(job));
}

int64_t FakeControl::Enqueue(const EvaluationSpec& spec) {
  LeasedJob job;
  job.evaluation = spec;
  return Add(std::move(job));
}

int64_t FakeControl::Add(LeasedJob job) {
  absl::MutexLock lock(&mutex_);
  job.id = next_job_++;
  queue_.push_back(job);
  woken_ = true;
  return job.id;
}

void FakeControl::AddManifest(const std::string& digest,
                              const datasets::Manifest& manifest) {
  absl::MutexLock lock(&mutex_);
  manifests_[digest] = manifest;
}

void FakeControl::SetDirective(Directive directive) {
  absl::MutexLock lock(&mutex_);
  directive_ = directive;
}

void FakeControl::LoseLease() {
  absl::MutexLock lock(&mutex_);
  ++fence_;
}

std::string FakeControl::WaitForEnd(int64_t job) {
  absl::MutexLock lock(&mutex_);
  const auto ended = [this, job]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return ends_.contains(job);
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&ended), absl::Minutes(2))) {
    return "timed out";
  }
  return ends_[job];
}

std::optional<FinishedPrompt> FakeControl::published(int64_t job) const {
  absl::MutexLock lock(&mutex_);
  const auto found = published_.find(job);
  if (found == published_.end()) return std::nullopt;
  return found->second;
}

std::optional<Evaluation> FakeControl::evaluated(int64_t job) const {
  absl::MutexLock lock(&mutex_);
  const auto found = evaluated_.find(job);
  if (found == evaluated_.end()) return std::nullopt;
  return found->second;
}

std::string FakeControl::last_checkpoint() const {
  return last_saved().blob_digest;
}

SavedCheckpoint FakeControl::last_saved() const {
  absl::MutexLock lock(&mutex_);
  return checkpoint_;
}

std::vector<Progress> FakeControl::progress() const {
  absl::MutexLock lock(&mutex_);
  return progress_;
}

void FakeControl::OnCheckpoint(std::function<void(int)> hook) {
  absl::MutexLock lock(&mutex_);
  checkpoint_hook_ = std::move(hook);
}

void FakeControl::ForgetFeatures() {
  absl::MutexLock lock(&mutex_);
  features_.clear();
}

int FakeControl::recorded_features() const {
  absl::MutexLock lock(&mutex_);
  return recorded_;
}

void FakeControl::OnFeatures(std::function<void(int)> hook) {
  absl::MutexLock lock(&mutex_);
  features_hook_ = std::move(hook);
}

absl::StatusOr<std::optional<LeasedJob>> FakeControl::Lease(
    const std::string&, const std::vector<std::string>&, absl::Duration wait) {
  absl::MutexLock lock(&mutex_);
  if (queue_.empty()) {
    mutex_.AwaitWithTimeout(absl::Condition(&woken_), wait);
    woken_ = false;
  }
  if (queue_.empty()) return std::nullopt;
  LeasedJob job = queue_.front();
  queue_.erase(queue_.begin());
  job.fence = ++fence_;
  job.leased_ns = MonotonicNanoseconds();
  return job;
}

void FakeControl::EndWait(const std::string&) {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

absl::StatusOr<Directive> FakeControl::Heartbeat(int64_t, int64_t fence) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckFence(fence));
  return directive_;
}

absl::Status FakeControl::ReportProgress(int64_t, int64_t fence,
                                         const Progress& progress) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckFence(fence));
  progress_.push_back(progress);
  return absl::OkStatus();
}

absl::Status FakeControl::SaveCheckpoint(int64_t, int64_t fence,
                                         const SavedCheckpoint& checkpoint) {
  std::function<void(int)> hook;
  int number = 0;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(CheckFence(fence));
    checkpoint_ = checkpoint;
    number = ++checkpoints_;
    hook = checkpoint_hook_;
  }
  if (hook) hook(number);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FakeControl::Publish(int64_t job, int64_t fence,
                                             const FinishedPrompt& prompt) {
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(CheckFence(fence));
    published_[job] = prompt;
  }
  RETURN_IF_ERROR(End(job, fence, "published"));
  return int64_t{1};
}

absl::Status FakeControl::StoreEvaluation(int64_t job, int64_t fence,
                                          const Evaluation& evaluation) {
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(CheckFence(fence));
    evaluated_[job] = evaluation;
  }
  return End(job, fence, "evaluated");
}

absl::Status FakeControl::Fail(int64_t job, int64_t fence,
                               const absl::Status& error) {
  return End(
      job, fence,
      absl::StrCat("failed: ", ErrorReason(error), " ", error.message()));
}

absl::Status FakeControl::ConfirmCancel(int64_t job, int64_t fence) {
  return End(job, fence, "cancelled");
}

absl::Status FakeControl::ConfirmPause(int64_t job, int64_t fence) {
  return End(job, fence, "paused");
}

absl::Status FakeControl::Release(int64_t job, int64_t fence) {
  return End(job, fence, "released");
}

absl::StatusOr<datasets::Manifest> FakeControl::GetManifest(
    const std::string& dataset_digest) {
  absl::MutexLock lock(&mutex_);
  const auto found = manifests_.find(dataset_digest);
  if (found == manifests_.end()) {
    return MakeError(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND",
                     dataset_digest);
  }
  return found->second;
}

absl::StatusOr<std::string> FakeControl::GetBlob(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) {
    return MakeError(absl::StatusCode::kNotFound, "BLOB_NOT_FOUND", digest);
  }
  return found->second;
}

absl::StatusOr<std::string> FakeControl::PutBlob(const std::string& bytes) {
  const std::string digest = Sha256Hex(bytes);
  absl::MutexLock lock(&mutex_);
  blobs_[digest] = bytes;
  return digest;
}

absl::StatusOr<std::optional<std::string>> FakeControl::FindFeatures(
    const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const auto found = features_.find(key);
  if (found == features_.end()) return std::nullopt;
  return found->second;
}

absl::Status FakeControl::RecordFeatures(const std::string& key,
                                         const std::string& digest) {
  std::function<void(int)> hook;
  int number = 0;
  {
    absl::MutexLock lock(&mutex_);
    features_[key] = digest;
    number = ++recorded_;
    hook = features_hook_;
  }
  if (hook) hook(number);
  return absl::OkStatus();
}

absl::Status FakeControl::CheckFence(int64_t fence) const {
  if (fence == fence_) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted, "LEASE_LOST",
                   "the lease was lost");
}

absl::Status FakeControl::End(int64_t job, int64_t fence,
                              const std::string& how) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CheckFence(fence));
  ends_[job] = how;
  return absl::OkStatus();
}

}  // namespace promptd::worker

#include "server/local_control.h"

#include <algorithm>
#include <utility>

#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/grpc_status.h"
#include "server/metrics.h"
#include "server/progress_json.h"
#include "store/blob_store.h"
#include "store/database.h"

namespace promptd::server {
namespace {

bool Retryable(absl::StatusCode code) {
  return code != absl::StatusCode::kInvalidArgument &&
         code != absl::StatusCode::kFailedPrecondition &&
         code != absl::StatusCode::kDataLoss &&
         code != absl::StatusCode::kOutOfRange;
}

registry::NewVersion ToNewVersion(const jobs::Job& job,
                                  const worker::TrainingSpec& spec,
                                  const worker::FinishedPrompt& prompt) {
  registry::NewVersion version;
  version.tenant = job.tenant;
  version.task = job.task;
  version.job_id = job.id;
  version.spec_json = job.spec_json;
  version.dataset = spec.dataset;
  version.dataset_digest = job.dataset_digest;
  version.encoder_digest = job.encoder_digest;
  version.context_digest = prompt.context_digest;
  version.features_digest = prompt.features_digest;
  version.class_names = prompt.class_names;
  version.source_task = spec.initial_task;
  version.source_version = spec.initial_version;
  if (prompt.evaluation.scored()) {
    version.split = prompt.evaluation.split;
    version.evaluation_json = worker::EvaluationToJson(prompt.evaluation);
  }
  return version;
}

absl::StatusOr<worker::LeasedJob> ToLeasedJob(const jobs::Job& job) {
  worker::LeasedJob leased;
  leased.id = job.id;
  leased.fence = job.fence;
  leased.attempt = job.attempt;
  leased.checkpoint_digest = job.checkpoint_digest;
  if (job.kind == jobs::JobKind::kEvaluate) {
    ASSIGN_OR_RETURN(leased.evaluation,
                     worker::EvaluationSpecFromJson(job.spec_json));
  } else {
    ASSIGN_OR_RETURN(leased.spec, worker::TrainingSpecFromJson(job.spec_json));
  }
  return leased;
}

}  // namespace

LocalControl::LocalControl(const Backend* backend, absl::Duration lease)
    : backend_(*backend), lease_(lease) {}

absl::StatusOr<std::optional<worker::LeasedJob>> LocalControl::Lease(
    const std::string& worker_id,
    const std::vector<std::string>& encoder_digests, absl::Duration wait) {
  while (true) {
    ASSIGN_OR_RETURN(
        const std::optional<jobs::Job> job,
        backend_.jobs->Lease({worker_id, encoder_digests, lease_}, wait));
    if (!job) return std::optional<worker::LeasedJob>();
    const int64_t leased_ns = LeasedSince(*job);
    if (job->fence == 1) {
      backend_.metrics->JobQueued(backend_.clock->Now() - job->create_time);
    }
    {
      absl::MutexLock lock(&mutex_);
      leased_[job->id] = *job;
    }
    auto leased = ToLeasedJob(*job);
    if (leased.ok()) {
      leased->lease = lease_;
      leased->leased_ns = leased_ns;
      return std::optional<worker::LeasedJob>(*std::move(leased));
    }
    RETURN_IF_ERROR(Fail(
        job->id, job->fence,
        MakeError(absl::StatusCode::kDataLoss, "BAD_STORED_SPEC",
                  "the job's stored specification cannot be read: create the "
                  "job again")));
    wait = absl::ZeroDuration();  // whoever stops the worker was not heard
  }
}

// A job that was handed over to a waiting worker began a moment ago. The
// monotonic clock is read first: a process that is stopped between the two
// finds its lease over, not fresh.
int64_t LocalControl::LeasedSince(const jobs::Job& job) const {
  const int64_t now_ns = MonotonicNanoseconds();
  absl::Duration ago;
  if (job.lease_expires) {
    ago = backend_.clock->Now() - (*job.lease_expires - lease_);
  }
  return now_ns - std::max<int64_t>(0, absl::ToInt64Nanoseconds(ago));
}

void LocalControl::EndWait(const std::string& worker_id) {
  backend_.jobs->EndWait(worker_id);
}

absl::StatusOr<worker::Directive> LocalControl::Heartbeat(int64_t job,
                                                          int64_t fence) {
  ASSIGN_OR_RETURN(const jobs::Directives directives,
                   backend_.jobs->Heartbeat(job, fence, lease_));
  if (directives.cancel) {
    return directives.save_first ? worker::Directive::kSaveAndCancel
                                 : worker::Directive::kCancel;
  }
  if (directives.pause) return worker::Directive::kPause;
  return worker::Directive::kContinue;
}

absl::Status LocalControl::ReportProgress(int64_t job, int64_t fence,
                                          const worker::Progress& progress) {
  return backend_.jobs->ReportProgress(job, fence, ProgressToJson(progress));
}

absl::Status LocalControl::SaveCheckpoint(
    int64_t job, int64_t fence, const worker::SavedCheckpoint& checkpoint) {
  return backend_.jobs->SaveCheckpoint(
      job, fence,
      {.blob_digest = checkpoint.blob_digest,
       .epoch = checkpoint.epoch,
       .step = checkpoint.step,
       .bytes = backend_.blobs->Size(checkpoint.blob_digest).value_or(0)});
}

absl::StatusOr<int64_t> LocalControl::Publish(
    int64_t job_id, int64_t fence, const worker::FinishedPrompt& prompt) {
  jobs::Job job;
  const absl::Status read =
      backend_.db->Read([&](store::Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(job, backend_.jobs->GetLeased(tx, job_id, fence));
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(read);
  ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                   worker::TrainingSpecFromJson(job.spec_json));
  registry::PromptRegistry& prompts = backend_.registry->prompts();
  ASSIGN_OR_RETURN(const registry::PreparedVersion prepared,
                   prompts.Prepare(ToNewVersion(job, spec, prompt)));
  FailpointStep("version.publish");
  int64_t version = 0;
  const absl::Status written =
      backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
        // The fence holds until the commit: nobody else writes meanwhile.
        RETURN_IF_ERROR(backend_.jobs->GetLeased(tx, job_id, fence).status());
        ASSIGN_OR_RETURN(const registry::PromptVersion published,
                         prompts.Publish(tx, prepared));
        version = published.version;
        return backend_.jobs->Complete(tx, job_id, fence, version,
                                       prepared.content.evaluation_json);
      });
  RETURN_IF_ERROR(written);
  FailpointStep("version.published");
  Ended("succeeded", job);
  LogEvent(spdlog::level::info, "version_published",
           {{"job", job_id}, {"task", job.task}, {"version", version}});
  return version;
}

absl::Status LocalControl::StoreEvaluation(
    int64_t job_id, int64_t fence, const worker::Evaluation& evaluation) {
  const std::string json = worker::EvaluationToJson(evaluation);
  jobs::Job job;
  const absl::Status written =
      backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(job, backend_.jobs->GetLeased(tx, job_id, fence));
        ASSIGN_OR_RETURN(const worker::EvaluationSpec spec,
                         worker::EvaluationSpecFromJson(job.spec_json));
        RETURN_IF_ERROR(backend_.registry->prompts().AddEvaluation(
            tx, job.tenant,
            {.job_id = job_id,
             .task = spec.task,
             .version = spec.version,
             .dataset = spec.dataset,
             .dataset_digest = spec.dataset_digest,
             .split = evaluation.split,
             .result_json = json}));
        return backend_.jobs->Complete(tx, job_id, fence, spec.version, json);
      });
  RETURN_IF_ERROR(written);
  FailpointStep("evaluation.stored");
  Ended("succeeded", job);
  LogEvent(spdlog::level::info, "version_evaluated",
           {{"job", job_id}, {"task", job.task}});
  return absl::OkStatus();
}

absl::Status LocalControl::Fail(int64_t job, int64_t fence,
                                const absl::Status& error) {
  const bool retryable = Retryable(error.code());
  LogEvent(spdlog::level::err, "job_attempt_failed",
           {{"job", job},
            {"code", absl::StatusCodeToString(error.code())},
            {"reason", ErrorReason(error)},
            {"error", std::string(error.message())},
            {"retryable", retryable}});
  // Clients read the stored error: it must not name files or internals.
  const absl::Status shown =
      MakeError(error.code(), ErrorReason(error), PublicMessage(error));
  ASSIGN_OR_RETURN(const jobs::Job after,
                   backend_.jobs->Fail(job, fence, shown, retryable));
  if (jobs::IsTerminal(after.state)) {
    Ended(std::string(jobs::JobStateName(after.state)), after);
  }
  return absl::OkStatus();
}

absl::Status LocalControl::ConfirmCancel(int64_t job, int64_t fence) {
  RETURN_IF_ERROR(backend_.jobs->ConfirmCancel(job, fence));
  jobs::Job ended;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = leased_.find(job);
    if (it == leased_.end()) return absl::OkStatus();
    ended = it->second;
  }
  Ended("cancelled", ended);
  return absl::OkStatus();
}

absl::Status LocalControl::ConfirmPause(int64_t job, int64_t fence) {
  RETURN_IF_ERROR(backend_.jobs->ConfirmPause(job, fence));
  absl::MutexLock lock(&mutex_);
  leased_.erase(job);
  return absl::OkStatus();
}

absl::Status LocalControl::Release(int64_t job, int64_t fence) {
  RETURN_IF_ERROR(backend_.jobs->Release(job, fence));
  absl::MutexLock lock(&mutex_);
  leased_.erase(job);
  return absl::OkStatus();
}

absl::StatusOr<datasets::Manifest> LocalControl::GetManifest(
    const std::string& dataset_digest) {
  ASSIGN_OR_RETURN(const std::string json,
                   backend_.registry->datasets().ManifestJson(dataset_digest));
  return datasets::ManifestFromJson(json);
}

absl::StatusOr<std::string> LocalControl::GetBlob(const std::string& digest) {
  absl::StatusOr<std::string> bytes = backend_.blobs->Get(digest);
  if (absl::IsDataLoss(bytes.status())) {
    CorruptBlobs(backend_.metrics->registry()).Increment();
    LogEvent(spdlog::level::err, "blob_corrupt", {{"digest", digest}});
  }
  return bytes;
}

absl::StatusOr<std::string> LocalControl::PutBlob(const std::string& bytes) {
  return backend_.blobs->Put(bytes);
}

absl::StatusOr<std::optional<std::string>> LocalControl::FindFeatures(
    const std::string& key) {
  return backend_.registry->datasets().FindFeatures(key);
}

absl::Status LocalControl::RecordFeatures(const std::string& key,
                                          const std::string& digest) {
  return backend_.registry->datasets().RecordFeatures(key, digest);
}

void LocalControl::Ended(const std::string& result, const jobs::Job& job) {
  backend_.metrics->JobFinished(result);
  if (job.start_time) {
    backend_.metrics->JobRan(backend_.clock->Now() - *job.start_time);
  }
  absl::MutexLock lock(&mutex_);
  leased_.erase(job.id);
}

}  // namespace promptd::server

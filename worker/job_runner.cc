#include "worker/job_runner.h"

#include <algorithm>

#include "common/error.h"
#include "common/failpoint.h"
#include "common/scheduling.h"
#include "common/status_macros.h"
#include "worker/evaluation_run.h"
#include "worker/lease_keeper.h"
#include "worker/training_run.h"

namespace promptd::worker {

JobRunner::JobRunner(const JobRunnerOptions& options,
                     const EncoderSet* encoders, TunedEncoders* tuned_encoders,
                     DeviceLoop* loop, Observer* observer, Control* control)
    : options_(options),
      encoders_(encoders),
      tuned_encoders_(tuned_encoders),
      loop_(loop),
      observer_(observer),
      control_(control),
      thread_([this] { Loop(); }) {}

JobRunner::~JobRunner() { Stop(); }

void JobRunner::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
  }
  control_->EndWait(options_.worker_id);
  if (thread_.joinable()) thread_.join();
}

bool JobRunner::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

void JobRunner::Loop() {
  YieldToAnswering();  // it decodes whole datasets
  while (!draining()) RunOne();
}

void JobRunner::RunOne() {
  const absl::StatusOr<std::optional<LeasedJob>> job = control_->Lease(
      options_.worker_id, encoders_->digests(), options_.poll_interval);
  if (job.ok()) {
    if (job->has_value()) RunJob(**job);
    return;
  }
  // A failing queue is asked again later; the front end that owns it reports
  // why.
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&draining_), options_.poll_interval);
}

void JobRunner::RunJob(const LeasedJob& job) {
  constexpr int kSlot = 0;  // one job at a time on one device
  observer_->OnJobStarted(
      kSlot, job.id, job.evaluation ? job.evaluation->task : job.spec.task);
  absl::StatusOr<int64_t> version = 0;
  {
    LeaseKeeper keeper(
        {.interval = std::min(options_.heartbeat_interval, job.lease / 3),
         .lease = job.lease},
        control_, job.id, job.fence, job.leased_ns);
    RunEnvironment environment;
    environment.control = control_;
    environment.encoders = encoders_;
    environment.tuned_encoders = tuned_encoders_;
    environment.loop = loop_;
    environment.decode_threads = options_.decode_threads;
    environment.checkpoint_interval = options_.checkpoint_interval;
    environment.check = [this, &keeper]() -> absl::Status {
      keeper.Touch();
      RETURN_IF_ERROR(keeper.Check());
      if (draining()) {
        return MakeError(absl::StatusCode::kCancelled, "JOB_DRAINED",
                         "the worker is shutting down");
      }
      return absl::OkStatus();
    };
    environment.on_progress = [this](const Progress& progress) {
      observer_->OnJobProgress(kSlot, progress);
    };
    environment.on_steps = [this](int64_t steps) {
      observer_->OnTrainingSteps(steps);
    };
    version = job.evaluation ? EvaluationRun(environment, job).Run()
                             : TrainingRun(environment, job).Run();
  }
  Conclude(job, version);
  observer_->OnJobEnded(kSlot);
}

void JobRunner::Conclude(const LeasedJob& job,
                         const absl::StatusOr<int64_t>& result) {
  if (result.ok()) return;  // published, or stored
  const std::string reason = ErrorReason(result.status());
  absl::Status written;
  if (reason == "LEASE_LOST") return;  // no longer ours to write
  if (reason == "JOB_CANCELLED" || reason == "JOB_CANCELLED_LATER") {
    written = control_->ConfirmCancel(job.id, job.fence);
  } else if (reason == "JOB_PAUSED") {
    written = control_->ConfirmPause(job.id, job.fence);
  } else if (reason == "JOB_DRAINED") {
    written = FailpointStatus("job.release");
    if (written.ok()) written = control_->Release(job.id, job.fence);
  } else {
    written = control_->Fail(job.id, job.fence, result.status());
  }
  // When even this cannot be written, the lease runs out and the queue
  // recovers the job.
  static_cast<void>(written);
}

}  // namespace promptd::worker

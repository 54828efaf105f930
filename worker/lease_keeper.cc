#include "worker/lease_keeper.h"

#include "absl/time/clock.h"
#include "common/error.h"

namespace promptd::worker {

LeaseKeeper::LeaseKeeper(const Options& options, Control* control, int64_t job,
                         int64_t fence)
    : options_(options),
      control_(control),
      job_(job),
      fence_(fence),
      touched_(absl::Now()),
      thread_([this] { Loop(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void LeaseKeeper::Touch() {
  absl::MutexLock lock(&mutex_);
  touched_ = absl::Now();
}

absl::Status LeaseKeeper::Check() {
  absl::MutexLock lock(&mutex_);
  return verdict_;
}

void LeaseKeeper::Loop() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.interval);
      if (stopping_ || !verdict_.ok()) return;
      if (absl::Now() - touched_ > options_.stall_timeout) continue;
    }
    Beat();
  }
}

void LeaseKeeper::Beat() {
  const absl::StatusOr<Directive> directive = control_->Heartbeat(job_, fence_);
  absl::Status verdict;
  if (!directive.ok()) {
    // Only the fence ends the job here: a control that cannot be reached for a
    // while is what the lease is for.
    if (ErrorReason(directive.status()) != "LEASE_LOST") return;
    verdict = directive.status();
  } else if (*directive == Directive::kCancel) {
    verdict = MakeError(absl::StatusCode::kCancelled, "JOB_CANCELLED",
                        "the job was cancelled");
  } else if (*directive == Directive::kPause) {
    verdict = MakeError(absl::StatusCode::kCancelled, "JOB_PAUSED",
                        "the job was paused");
  }
  absl::MutexLock lock(&mutex_);
  verdict_ = verdict;
}

}  // namespace promptd::worker

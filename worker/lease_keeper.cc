#include "worker/lease_keeper.h"

#include <algorithm>
#include <limits>

#include "absl/time/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/monotonic.h"

namespace promptd::worker {
namespace {

// For clocks that run apart, and a write that is on its way.
constexpr absl::Duration kLongestMargin = absl::Seconds(2);

}  // namespace

LeaseKeeper::LeaseKeeper(const Options& options, Control* control, int64_t job,
                         int64_t fence, int64_t leased_ns)
    : options_(options),
      control_(control),
      job_(job),
      fence_(fence),
      touched_(absl::Now()),
      proven_until_ns_(ProvenUntil(leased_ns)),
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
  if (verdict_.ok() && MonotonicNanoseconds() > proven_until_ns_) {
    verdict_ = MakeError(absl::StatusCode::kAborted, "LEASE_LOST",
                         "no heartbeat was answered in time: the lease may "
                         "have ended");
  }
  return verdict_;
}

int64_t LeaseKeeper::ProvenUntil(int64_t sent_ns) const {
  if (options_.lease == absl::InfiniteDuration()) {
    return std::numeric_limits<int64_t>::max();
  }
  const absl::Duration margin = std::min(kLongestMargin, options_.lease / 5);
  return sent_ns + absl::ToInt64Nanoseconds(options_.lease - margin);
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
  const int64_t sent_ns = MonotonicNanoseconds();
  if (!FailpointStatus("lease.heartbeat").ok()) return;  // lost on its way
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
  } else if (*directive == Directive::kSaveAndCancel) {
    verdict = MakeError(absl::StatusCode::kCancelled, "JOB_CANCELLED_LATER",
                        "the job was cancelled behind a checkpoint");
  } else if (*directive == Directive::kPause) {
    verdict = MakeError(absl::StatusCode::kCancelled, "JOB_PAUSED",
                        "the job was paused");
  }
  absl::MutexLock lock(&mutex_);
  // A lease that was given up stays so.
  if (!verdict_.ok()) return;
  verdict_ = verdict;
  proven_until_ns_ = ProvenUntil(sent_ns);
}

}  // namespace promptd::worker

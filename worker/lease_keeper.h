// Keeps a job's lease while its training makes progress.
#pragma once

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/control.h"

namespace promptd::worker {

// A thread that is not the training thread sends heartbeats, and only while
// Touch() is being called: a hung trainer must not look alive. The answers
// arrive in Check().
//
// The lease counts from the moment its last good heartbeat was sent, on the
// monotonic clock, and ends a margin early: a worker that was stopped, or cut
// off, gives its job up before anybody else can have it. Thread-safe.
class LeaseKeeper {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(1);
    // What a heartbeat is good for.
    absl::Duration lease = absl::InfiniteDuration();
    // Heartbeats stop when Touch() was not called for this long.
    absl::Duration stall_timeout = absl::Seconds(60);
  };

  // `leased_ns`: see LeasedJob (worker/control.h).
  LeaseKeeper(const Options& options, Control* control, int64_t job,
              int64_t fence, int64_t leased_ns);
  // Ends the thread.
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Training made progress.
  void Touch();

  // OK to go on; ABORTED (LEASE_LOST): drop the job without another write;
  // CANCELLED (JOB_CANCELLED, JOB_PAUSED and, where a checkpoint comes before
  // the end, JOB_CANCELLED_LATER): do as asked.
  absl::Status Check();

 private:
  void Loop();
  void Beat();
  // Until when a lease that was asked for at `sent_ns` is surely held.
  int64_t ProvenUntil(int64_t sent_ns) const;

  const Options options_;
  Control* const control_;
  const int64_t job_;
  const int64_t fence_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time touched_ ABSL_GUARDED_BY(mutex_);
  int64_t proven_until_ns_ ABSL_GUARDED_BY(mutex_);
  absl::Status verdict_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace promptd::worker

// Leases training jobs and runs them, one at a time, beside serving.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/control.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/observer.h"
#include "worker/tuned_encoders.h"

namespace promptd::worker {

struct JobRunnerOptions {
  std::string worker_id = "local";
  int decode_threads = 1;
  absl::Duration checkpoint_interval = absl::Seconds(5);
  // Of a third of the job's lease, if that is less.
  absl::Duration heartbeat_interval = absl::Seconds(1);
  // Between two looks at the queue when nothing wakes the runner.
  absl::Duration poll_interval = absl::Seconds(2);
};

// Its thread starts with the object. Thread-safe.
class JobRunner {
 public:
  // Everything is borrowed and must outlive Stop().
  JobRunner(const JobRunnerOptions& options, const EncoderSet* encoders,
            TunedEncoders* tuned_encoders, DeviceLoop* loop, Observer* observer,
            Control* control);
  // Stop().
  ~JobRunner();

  // Gives a running job back to the queue with a checkpoint and joins the
  // thread: at most one step and one checkpoint later. Idempotent.
  void Stop();

 private:
  void Loop();
  // Runs the next job, if one comes within the poll interval.
  void RunOne();
  void RunJob(const LeasedJob& job);
  void Conclude(const LeasedJob& job, const absl::StatusOr<int64_t>& result);
  bool draining() const;

  const JobRunnerOptions options_;
  const EncoderSet* const encoders_;
  TunedEncoders* const tuned_encoders_;
  DeviceLoop* const loop_;
  Observer* const observer_;
  Control* const control_;

  mutable absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace promptd::worker

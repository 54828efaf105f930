// One WatchTrainingJob stream: events from a sequence number on, in order,
// until the job's last one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "jobs/job_store.h"
#include "promptd/v1/training.pb.h"
#include "server/call.h"
#include "server/watch_loop.h"

namespace promptd::server {

// Owns itself until gRPC is done with it. A slow client holds at most one
// page of events in memory; the rest stays in the store. Thread-safe.
class WatchStream : public grpc::ServerWriteReactor<v1::JobEvent>,
                    public Watcher {
 public:
  // Never null; problems end the stream with their status.
  static WatchStream* Start(std::shared_ptr<Call> call, WatchLoop* loop,
                            jobs::JobStore* jobs, int64_t job,
                            int64_t from_sequence);

  int64_t job() const override { return job_; }
  void Pump() override;
  void Drain() override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchStream(std::shared_ptr<Call> call, WatchLoop* loop, jobs::JobStore* jobs,
              int64_t job, int64_t from_sequence);
  // The next events into `pending_`, or the end of the stream.
  absl::Status Fetch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Call> call_;
  WatchLoop* const loop_;
  jobs::JobStore* const jobs_;
  const int64_t job_;
  std::shared_ptr<WatchStream> self_;
  absl::Mutex mutex_;
  int64_t next_ ABSL_GUARDED_BY(mutex_);
  bool last_seen_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::JobEvent> pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server

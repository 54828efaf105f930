// One thread that feeds every WatchTrainingJob stream: it sleeps until the job
// store says that a watched job got an event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "jobs/job_store.h"

namespace promptd::server {

// A stream that wants events of one job.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual int64_t job() const = 0;
  // Reads what is new and starts to send it. Runs on the loop's thread, one
  // watcher at a time; may read the store, must not wait for the client.
  virtual void Pump() = 0;
  // The server is shutting down: end the stream.
  virtual void Drain() = 0;
};

// Thread-safe. `jobs` must outlive it; gRPC must have ended all streams
// before it is destroyed.
class WatchLoop {
 public:
  WatchLoop(jobs::JobStore* jobs, size_t max_watchers);
  ~WatchLoop();
  WatchLoop(const WatchLoop&) = delete;
  WatchLoop& operator=(const WatchLoop&) = delete;

  // Pumps the watcher now and after each event of its job.
  // RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS); UNAVAILABLE (SHUTTING_DOWN).
  absl::Status Add(const std::shared_ptr<Watcher>& watcher);
  void Remove(const Watcher* watcher);
  // Asks for another Pump(); unknown watchers are ignored.
  void Wake(const Watcher* watcher);

  // Ends all streams and takes no more.
  void Drain();

 private:
  void Run();
  void Notify(int64_t job);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !due_.empty();
  }

  const size_t max_watchers_;
  absl::Mutex mutex_;
  std::map<const Watcher*, std::shared_ptr<Watcher>> watchers_
      ABSL_GUARDED_BY(mutex_);
  std::set<const Watcher*> due_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<jobs::ChangeHub::Subscription> subscription_;
  std::thread thread_;
};

}  // namespace promptd::server

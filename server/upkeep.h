// A thread that ends leases that ran out, forgets jobs of long ago, and gives
// memory that nothing uses back to the system.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/job_store.h"

namespace promptd::server {

// Runs from construction to destruction. `jobs` must outlive it.
class Upkeep {
 public:
  Upkeep(jobs::JobStore* jobs, absl::Duration interval);
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

 private:
  void Run(absl::Duration interval);

  jobs::JobStore* const jobs_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace promptd::server

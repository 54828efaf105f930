// One thread that owns the compute library and runs units of bounded time.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace promptd::worker {

// Serving units go first; training units fill the gaps. Nothing else in the
// process may call the compute library, but the threads of clip/side_by_side.h
// for a unit that waits for them: every other thread that does gets a thread
// team of its own. Thread-safe.
class DeviceLoop {
 public:
  DeviceLoop();
  // Stop().
  ~DeviceLoop();
  DeviceLoop(const DeviceLoop&) = delete;
  DeviceLoop& operator=(const DeviceLoop&) = delete;

  // Queues a serving unit. False after Stop(): the unit will not run.
  bool PostServing(std::function<void()> unit);

  // Whether a unit waits for its turn.
  bool OthersWait() const;

  // Runs one unit on the device thread and returns its result; waits for its
  // turn. UNAVAILABLE (SHUTTING_DOWN) after Stop(). Never call it from a unit.
  absl::Status RunServing(absl::FunctionRef<absl::Status()> unit);
  absl::Status RunTraining(absl::FunctionRef<absl::Status()> unit);

  // A turn of training: the same unit again and again until it returns false or
  // an error, something else waits, or 50 ms have passed. A turn costs 0.1 ms
  // of waking and waiting, a unit may take as little.
  absl::Status RunTrainingTurn(absl::FunctionRef<absl::StatusOr<bool>()> unit);

  // Runs what is queued, then ends the thread. Idempotent.
  void Stop();

 private:
  absl::Status RunIn(std::deque<std::function<void()>>* queue,
                     absl::FunctionRef<absl::Status()> unit);
  void Loop();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> serving_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> training_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace promptd::worker

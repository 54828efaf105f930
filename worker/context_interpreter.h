// Reads learned contexts in words of the vocabulary without holding up anybody:
// blobs are read on a thread of its own, distances are computed in units of
// bounded time between the image batches.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/bounded_queue.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/executor.h"

namespace promptd::worker {

struct ContextInterpreterOptions {
  size_t max_queued_calls = 16;
  // Vectors that one unit measures: bounds its time and memory, 80 MB of
  // floats for CLIP's vocabulary.
  int max_unit_vectors = 64;
};

// One call at a time; a few may wait. Deadline and cancellation are checked
// before every unit. Thread-safe.
class ContextInterpreter {
 public:
  using BlobReader =
      std::function<absl::StatusOr<std::string>(const std::string& digest)>;

  // `encoders` and `loop` must outlive this; `read_blob` fetches contexts.
  ContextInterpreter(const ContextInterpreterOptions& options,
                     const EncoderSet* encoders, DeviceLoop* loop,
                     BlobReader read_blob);
  // Stop() with no grace.
  ~ContextInterpreter();
  ContextInterpreter(const ContextInterpreter&) = delete;
  ContextInterpreter& operator=(const ContextInterpreter&) = delete;

  // As Executor::Interpret.
  void Interpret(const InterpretCall& call,
                 const Executor::InterpretCallback& done);

  // Refuses new calls and answers those admitted, with UNAVAILABLE once
  // `deadline` has passed. Idempotent; before the loop's Stop().
  void Stop(absl::Time deadline);

 private:
  struct Work {
    InterpretCall call;
    Executor::InterpretCallback done;
  };

  void Loop();
  absl::StatusOr<std::vector<VectorWords>> Run(const InterpretCall& call);
  // Why nobody wants the answer any more, or OK.
  absl::Status StillWanted(const InterpretCall& call);

  const ContextInterpreterOptions options_;
  const EncoderSet* const encoders_;
  DeviceLoop* const loop_;
  const BlobReader read_blob_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the calls that are admitted.
  absl::Time stop_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  BoundedQueue<Work> queue_;
  std::thread thread_;
};

}  // namespace promptd::worker

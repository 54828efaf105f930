// Verifies encoders on request without holding up anybody: files are read on a
// thread of its own, the self-test is one unit of the device loop.
#pragma once

#include <atomic>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/bounded_queue.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/executor.h"

namespace promptd::worker {

// One verification at a time; a few may wait. `encoders` and `loop` are
// borrowed; `encoders` may change until the first Verify(). Thread-safe.
class EncoderVerifier {
 public:
  EncoderVerifier(const EncoderSet* encoders, DeviceLoop* loop);
  // Stop().
  ~EncoderVerifier();
  EncoderVerifier(const EncoderVerifier&) = delete;
  EncoderVerifier& operator=(const EncoderVerifier&) = delete;

  // As Executor::VerifyEncoder.
  void Verify(const VerifyCall& call, const Executor::VerifyCallback& done);

  // Answers what is under way or waits with SHUTTING_DOWN. Idempotent; the
  // loop must still run.
  void Stop();

 private:
  struct Work {
    VerifyCall call;
    Executor::VerifyCallback done;
  };

  void Loop();
  absl::StatusOr<EncoderVerification> Run(const VerifyCall& call) const;
  // Why nobody wants the answer any more, or OK.
  absl::Status StillWanted(const VerifyCall& call) const;

  const EncoderSet* const encoders_;
  DeviceLoop* const loop_;
  std::atomic<bool> stopping_{false};
  BoundedQueue<Work> queue_;
  std::thread thread_;
};

}  // namespace promptd::worker

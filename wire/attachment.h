// The worker's end of the stream by which it is attached to a front end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "promptd/worker/v1/control.grpc.pb.h"
#include "wire/control_client.h"
#include "wire/worker_registry.h"
#include "wire/worker_token.h"

namespace promptd::wire {

struct AttachmentOptions {
  absl::Duration beat_interval = absl::Milliseconds(200);
  // Between two attempts to attach, spread by half to both sides.
  absl::Duration first_pause = absl::Milliseconds(100);
  absl::Duration longest_pause = absl::Seconds(5);
};

// Attaches, and again whenever the stream drops, until Stop(). Thread-safe.
class Attachment {
 public:
  // `control` is told the session and of work; it must outlive this.
  // `ready` says whether calls are served. `on_refused` is called, at most
  // once, when the front end refuses the first attempt for good: a wrong token,
  // a bad hello.
  Attachment(const AttachmentOptions& options,
             const std::shared_ptr<grpc::Channel>& channel, WorkerToken token,
             WorkerHello hello, ControlClient* control,
             std::function<bool()> ready,
             std::function<void(const absl::Status&)> on_refused);
  // Stop().
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  // Beats say from now on that no calls are served.
  void Drain();
  // Closes the stream; the front end ends what leases are left.
  void Stop();

  // False at the deadline.
  bool WaitUntilAttached(absl::Time deadline) const;

 private:
  using Stream =
      grpc::ClientReaderWriter<pb::AttachRequest, pb::AttachResponse>;

  void Run();
  // Until the stream ends; whether it was ever welcome.
  bool AttachOnce(absl::Status* ended);
  void ReadAll(Stream* stream, bool* welcome);
  void Beat();
  void SendBeat() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AttachmentOptions options_;
  const WorkerToken token_;
  const WorkerHello hello_;
  const std::unique_ptr<pb::ControlService::Stub> stub_;
  ControlClient* const control_;
  const std::function<bool()> ready_;
  const std::function<void(const absl::Status&)> on_refused_;

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // that may be written
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread runner_;
  std::thread beater_;
};

}  // namespace promptd::wire

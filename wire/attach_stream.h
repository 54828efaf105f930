// The front end's end of the stream by which a worker is attached.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "promptd/worker/v1/control.pb.h"
#include "wire/method_table.h"
#include "wire/wire_status.h"
#include "wire/worker_registry.h"

namespace promptd::wire {

// Lives until gRPC is done with it and the registry has let it go. However the
// stream ends, the session ends with it. Thread-safe.
class AttachStream : public MethodTable::Reactor,
                     public WorkerLink,
                     public std::enable_shared_from_this<AttachStream> {
 public:
  // `registry` must outlive the server.
  static MethodTable::Reactor* Make(WorkerRegistry* registry,
                                    MethodTable::Post post,
                                    absl::Duration lease);

  AttachStream(WorkerRegistry* registry, MethodTable::Post post,
               absl::Duration lease)
      : registry_(registry), post_(std::move(post)), lease_(lease) {}

  void HintWork() override;
  void Close(const absl::Status& why) override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void TakeHello(const pb::WorkerHello& hello);
  void Attach(const WorkerHello& hello);
  void Detach();
  void Push(const pb::AttachResponse& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  WorkerRegistry* const registry_;
  const MethodTable::Post post_;
  const absl::Duration lease_;
  grpc::ByteBuffer incoming_;  // of the one read under way
  bool said_hello_ = false;    // read by one read after the other

  absl::Mutex mutex_;
  std::string session_ ABSL_GUARDED_BY(mutex_);  // empty: not attached
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool hinted_ ABSL_GUARDED_BY(mutex_) = false;  // a hint waits to be sent
  grpc::ByteBuffer outgoing_ ABSL_GUARDED_BY(mutex_);
  std::deque<grpc::ByteBuffer> queue_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<AttachStream> self_;  // until OnDone
};

}  // namespace promptd::wire

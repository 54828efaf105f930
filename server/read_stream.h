// One client-streaming call: messages come in one after the other, each is
// dealt with on the pool, one reply goes out at the end.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/error.h"
#include "grpcpp/support/server_callback.h"
#include "server/byte_budget.h"
#include "server/rpc.h"

namespace promptd::server {

// Owns itself until gRPC is done with it. The next message is read only after
// the last one was dealt with, so one at most is in memory and the state of a
// subclass belongs to the step that runs; what a cancellation may meet is
// under the mutex. A subclass is made with new and started once.
template <typename Request, typename Reply>
class ReadStream : public grpc::ServerReadReactor<Request> {
 public:
  void OnReadDone(bool ok) final {
    if (call_->cancelled()) return;  // OnCancel ends it
    rpc_->Run(
        Where::kPool, call_,
        [self = self_, ok]() -> absl::Status {
          if (ok) return self->Take(self->incoming_);
          if (self->call_->cancelled()) return Gone();
          return self->Complete();
        },
        [self = self_, ok](const absl::Status& status) {
          if (!status.ok() || !ok) return self->End(status);
          self->ReadNext();
        });
  }

  void OnCancel() final {
    call_->MarkCancelled();
    End(Gone());
  }

  void OnDone() final {
    // May destroy this object, and with it what was not finished.
    const std::shared_ptr<ReadStream> self = std::move(self_);
  }

 protected:
  // The pointers are borrowed; `streams` counts those at once, `most` of them
  // are allowed.
  ReadStream(std::shared_ptr<Call> call, const Rpc* rpc, ByteBudget* streams,
             int most, Reply* reply)
      : call_(std::move(call)),
        rpc_(rpc),
        streams_(streams),
        most_(most),
        reply_(reply) {}
  // Reads the first message, or ends the call when there is no room. A caller
  // that waits for the initial metadata knows that it has been let in.
  void Begin() {
    self_.reset(this);
    const std::shared_ptr<ReadStream> self = self_;
    if (!call_->admission().ok()) return End(call_->admission());
    if (!streams_->TryTake(1)) {
      return End(MakeError(
          absl::StatusCode::kResourceExhausted, "TOO_MANY_UPLOADS",
          absl::StrCat("at most ", most_,
                       " uploads run at once: repeat it a little later")));
    }
    {
      absl::MutexLock lock(&mutex_);
      if (ended_) return streams_->Give(1);  // cancelled meanwhile
      counted_ = true;
      this->StartSendInitialMetadata();
    }
    ReadNext();
  }

  // Deals with one message, on the pool. An error ends the call.
  virtual absl::Status Take(const Request& message) = 0;
  // After the last one, on the pool: fills result().
  virtual absl::Status Complete() = 0;

  const Call& call() const { return *call_; }
  Reply& result() { return result_; }

 private:
  static absl::Status Gone() {
    return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                     "the client cancelled the call");
  }

  void ReadNext() {
    absl::MutexLock lock(&mutex_);
    if (!ended_) this->StartRead(&incoming_);
  }

  void End(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    // Before the answer: whoever has it may begin the next one.
    if (counted_) streams_->Give(1);
    if (status.ok()) *reply_ = result_;
    this->Finish(call_->End(status));
  }

  const std::shared_ptr<Call> call_;
  const Rpc* const rpc_;
  ByteBudget* const streams_;
  const int most_;
  std::shared_ptr<ReadStream> self_;
  Request incoming_;
  Reply result_;
  absl::Mutex mutex_;
  bool counted_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // gRPC's, gone soon after the end; `result_` is filled meanwhile.
  Reply* const reply_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace promptd::server

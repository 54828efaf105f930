#include "wire/attach_stream.h"

#include <utility>

#include "common/error.h"
#include "common/failpoint.h"
#include "wire/convert_call.h"
#include "wire/convert_time.h"

namespace promptd::wire {

MethodTable::Reactor* AttachStream::Make(WorkerRegistry* registry,
                                         MethodTable::Post post,
                                         absl::Duration lease) {
  auto stream =
      std::make_shared<AttachStream>(registry, std::move(post), lease);
  stream->self_ = stream;
  stream->StartRead(&stream->incoming_);
  return stream.get();
}

void AttachStream::OnReadDone(bool ok) {
  if (!ok) return Close(absl::OkStatus());
  pb::AttachRequest message;
  absl::Status status = Unpack(&incoming_, &message);
  if (status.ok() && message.has_hello() == said_hello_) {
    status = MakeError(absl::StatusCode::kInvalidArgument, "BAD_WIRE_MESSAGE",
                       "a stream begins with one hello, and beats follow");
  }
  if (!status.ok()) return Close(status);
  incoming_.Clear();
  if (message.has_hello()) {
    said_hello_ = true;
    TakeHello(message.hello());
  } else {
    std::string session;
    {
      absl::MutexLock lock(&mutex_);
      session = session_;
    }
    registry_->Beat(session, message.beat().ready());
  }
  absl::MutexLock lock(&mutex_);
  if (!finished_) StartRead(&incoming_);
}

void AttachStream::TakeHello(const pb::WorkerHello& message) {
  WorkerHello hello;
  hello.id = message.worker_id();
  hello.address = message.address();
  hello.version = message.version();
  for (const pb::EncoderDescription& encoder : message.encoders()) {
    hello.encoders.push_back(FromProto(encoder));
  }
  if (!post_([self = shared_from_this(), hello = std::move(hello)] {
        self->Attach(hello);
      })) {
    Close(MakeError(absl::StatusCode::kResourceExhausted, "SERVER_BUSY",
                    "too many calls are waiting"));
  }
}

void AttachStream::Attach(const WorkerHello& hello) {
  const absl::Status refused = FailpointStatus("worker.attach");
  if (!refused.ok()) return Close(refused);
  const auto session = registry_->Attach(hello, shared_from_this());
  if (!session.ok()) return Close(session.status());
  pb::AttachResponse welcome;
  welcome.mutable_welcome()->set_session(*session);
  ToProto(lease_, welcome.mutable_welcome()->mutable_lease());
  bool gone = false;
  {
    absl::MutexLock lock(&mutex_);
    gone = finished_;
    session_ = *session;
    Push(welcome);
  }
  if (gone) Detach();
}

void AttachStream::HintWork() {
  absl::MutexLock lock(&mutex_);
  if (hinted_) return;
  hinted_ = true;
  pb::AttachResponse hint;
  hint.mutable_work();
  Push(hint);
}

void AttachStream::Push(const pb::AttachResponse& message) {
  queue_.push_back(Pack(message));
  WriteNext();
}

void AttachStream::WriteNext() {
  if (writing_ || finished_ || queue_.empty()) return;
  writing_ = true;
  hinted_ = false;
  outgoing_ = std::move(queue_.front());
  queue_.pop_front();
  StartWrite(&outgoing_);
}

void AttachStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (ok) WriteNext();
}

void AttachStream::OnCancel() {
  Close(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                  "the worker has gone"));
}

void AttachStream::Close(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    finished_ = true;
    Finish(ToGrpc(why));
  }
  if (!post_([self = shared_from_this()] { self->Detach(); })) Detach();
}

void AttachStream::Detach() {
  std::string session;
  {
    absl::MutexLock lock(&mutex_);
    session = session_;
  }
  if (!session.empty()) registry_->Detach(session);
}

void AttachStream::OnDone() { self_.reset(); }

}  // namespace promptd::wire

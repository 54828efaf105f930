#include "server/infer_stream.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "server/grpc_status.h"
#include "server/infer_call.h"

namespace promptd::server {

absl::Status InferStreams::Add(const std::shared_ptr<InferStream>& stream) {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                     "the server is shutting down: try again once it is back");
  }
  if (streams_.size() >= most_) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                     absl::StrCat("at most ", most_,
                                  " inference streams are open at once: close "
                                  "one, or send requests on an open one"));
  }
  streams_.insert(stream);
  return absl::OkStatus();
}

void InferStreams::Remove(const std::shared_ptr<InferStream>& stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void InferStreams::Drain() {
  std::vector<std::shared_ptr<InferStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const std::shared_ptr<InferStream>& stream : streams) stream->Drain();
}

InferStream* InferStream::Start(std::shared_ptr<Call> call, const Rpc* rpc,
                                const Backend* backend,
                                InferStatisticsTable* statistics,
                                InferStreams* streams, bool end_on_error) {
  absl::Status status = call->admission();
  auto* stream = new InferStream(std::move(call), rpc, backend, statistics,
                                 streams, end_on_error);
  stream->self_.reset(stream);
  const std::shared_ptr<InferStream> self = stream->self_;
  if (status.ok()) status = streams->Add(self);
  absl::MutexLock lock(&stream->mutex_);
  if (status.ok()) {
    stream->ReadNext();
  } else {
    stream->End(status);
  }
  return stream;
}

InferStream::InferStream(std::shared_ptr<Call> call, const Rpc* rpc,
                         const Backend* backend,
                         InferStatisticsTable* statistics,
                         InferStreams* streams, bool end_on_error)
    : call_(std::move(call)),
      rpc_(rpc),
      backend_(backend),
      statistics_(statistics),
      streams_(streams),
      end_on_error_(end_on_error) {}

void InferStream::ReadNext() {
  if (ended_ || reading_ || half_closed_ || open_ >= kMostOpen) return;
  reading_ = true;
  incoming_ = std::make_shared<Item>();
  StartRead(&incoming_->request);
}

void InferStream::OnReadDone(bool ok) {
  std::shared_ptr<Item> item;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (ended_) return;
    if (!ok) {
      half_closed_ = true;
      if (open_ == 0) End(absl::OkStatus());
      return;
    }
    item = std::move(incoming_);
    ++open_;
    ReadNext();
  }
  Run(item);
}

void InferStream::Run(const std::shared_ptr<Item>& item) {
  const std::shared_ptr<InferStream> self = self_;
  const Rpc::Done answer = [self, item](const absl::Status& status) {
    self->Answer(item, status);
  };
  rpc_->Post(
      call_,
      [self, item, answer] {
        Infer(*self->backend_, self->statistics_, self->call_, item->request,
              item->response.mutable_infer_response(), answer);
        return absl::OkStatus();
      },
      [answer](const absl::Status& status) {
        // OK: it has answered, or will.
        if (!status.ok()) answer(status);
      });
}

void InferStream::Answer(const std::shared_ptr<Item>& item,
                         const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (!status.ok()) {
    if (end_on_error_) return End(status);
    inference::ModelStreamInferResponse& response = item->response;
    response.set_error_message(
        ToGrpcStatus(status, call_->request_id()).error_message());
    response.clear_infer_response();
    response.mutable_infer_response()->set_id(item->request.id());
  }
  item->request.Clear();
  answers_.push_back(item);
  if (answers_.size() == 1) WriteNext();
}

void InferStream::WriteNext() { StartWrite(&answers_.front()->response); }

void InferStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (!ok) {
    return End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                         "the client is gone"));
  }
  answers_.pop_front();
  --open_;
  if (!answers_.empty()) WriteNext();
  ReadNext();
  if (half_closed_ && open_ == 0) End(absl::OkStatus());
}

void InferStream::OnCancel() {
  call_->MarkCancelled();
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                "the client cancelled the call"));
}

void InferStream::Drain() {
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                "the server is shutting down: send what has no answer again "
                "once it is back"));
}

void InferStream::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  const grpc::Status last = call_->End(status);
  // What is still computed is not wanted any more.
  call_->MarkCancelled();
  Finish(last);
}

void InferStream::OnDone() {
  streams_->Remove(self_);
  // May destroy this object.
  const std::shared_ptr<InferStream> self = std::move(self_);
}

}  // namespace promptd::server

// A stream of requests that are answered one by one, as they are ready.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/error.h"
#include "grpcpp/support/server_callback.h"
#include "server/call.h"
#include "server/open_streams.h"
#include "server/rpc.h"

namespace promptd::server {

// What of one stream is in memory, from when a request is read until its answer
// is written. Nothing is read beyond that: a client that does not read is not
// read from.
struct StreamBounds {
  int items = 32;
  // Of requests, then of their answers; the item that passes it is the last.
  int64_t bytes = int64_t{32} << 20;
};

// Owns itself until gRPC is done with it. Thread-safe.
template <typename Request, typename Response>
class ItemStream : public grpc::ServerBidiReactor<Request, Response>,
                   public OpenStream {
 public:
  // Call once, after construction; problems end the stream with their status.
  void Start();

  void Drain() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 protected:
  struct Item {
    Request request;
    Response response;
    int64_t bytes = 0;  // as counted
  };
  using ItemPtr = std::shared_ptr<Item>;

  // The pointers are borrowed.
  ItemStream(std::shared_ptr<Call> call, const Rpc* rpc, OpenStreams* streams,
             StreamBounds bounds = {})
      : call_(std::move(call)), rpc_(rpc), streams_(streams), bounds_(bounds) {}

  // Fills the response and calls `answer`, exactly once, on any thread, also
  // once the stream has ended.
  virtual void Handle(const ItemPtr& item, const Rpc::Done& answer) = 0;
  virtual Where WhereToHandle(const Request& /*request*/) {
    return Where::kPool;
  }
  // Makes the response of an item that failed. Anything but OK ends the stream.
  virtual absl::Status Fail(const absl::Status& status, Item* item) = 0;

  const std::shared_ptr<Call>& call() const { return call_; }

 private:
  void Run(const ItemPtr& item);
  void Answer(const ItemPtr& item, const absl::Status& status);
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Call> call_;
  const Rpc* const rpc_;
  OpenStreams* const streams_;
  const StreamBounds bounds_;
  std::shared_ptr<ItemStream> self_;
  absl::Mutex mutex_;
  ItemPtr incoming_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t open_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first one is being written.
  std::deque<ItemPtr> answers_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Request, typename Response>
void ItemStream<Request, Response>::Start() {
  self_.reset(this);
  // The stream may end before this does.
  const std::shared_ptr<ItemStream> self = self_;
  absl::Status status = call_->admission();
  if (status.ok()) status = streams_->Add(self);
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    ReadNext();
  } else {
    End(status);
  }
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::ReadNext() {
  if (ended_ || reading_ || half_closed_ || open_ >= bounds_.items ||
      open_bytes_ >= bounds_.bytes) {
    return;
  }
  reading_ = true;
  incoming_ = std::make_shared<Item>();
  this->StartRead(&incoming_->request);
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::OnReadDone(bool ok) {
  ItemPtr item;
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
    item->bytes = static_cast<int64_t>(item->request.ByteSizeLong());
    ++open_;
    open_bytes_ += item->bytes;
    ReadNext();
  }
  Run(item);
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::Run(const ItemPtr& item) {
  const auto self = self_;
  const Rpc::Done answer = [self, item](const absl::Status& status) {
    self->Answer(item, status);
  };
  rpc_->Run(
      WhereToHandle(item->request), call_,
      [self, item, answer] {
        self->Handle(item, answer);
        return absl::OkStatus();
      },
      [answer](const absl::Status& status) {
        // OK: it has answered, or will.
        if (!status.ok()) answer(status);
      });
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::Answer(const ItemPtr& item,
                                           const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (!status.ok()) {
    const absl::Status end = Fail(status, item.get());
    if (!end.ok()) return End(end);
  }
  item->request.Clear();
  open_bytes_ -= item->bytes;
  item->bytes = static_cast<int64_t>(item->response.ByteSizeLong());
  open_bytes_ += item->bytes;
  answers_.push_back(item);
  if (answers_.size() == 1) WriteNext();
  ReadNext();
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::WriteNext() {
  grpc::WriteOptions options;
  // The answers that are ready leave together.
  if (answers_.size() > 1) options.set_buffer_hint();
  this->StartWrite(&answers_.front()->response, options);
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (!ok) {
    return End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                         "the client is gone"));
  }
  open_bytes_ -= answers_.front()->bytes;
  answers_.pop_front();
  --open_;
  if (!answers_.empty()) WriteNext();
  ReadNext();
  if (half_closed_ && open_ == 0) End(absl::OkStatus());
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::OnCancel() {
  call_->MarkCancelled();
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                "the client cancelled the call"));
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::Drain() {
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                "the server is shutting down: send what has no answer again "
                "once it is back"));
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  const grpc::Status last = call_->End(status);
  // What is still computed is not wanted any more.
  call_->MarkCancelled();
  this->Finish(last);
}

template <typename Request, typename Response>
void ItemStream<Request, Response>::OnDone() {
  streams_->Remove(self_);
  // May destroy this object.
  const std::shared_ptr<ItemStream> self = std::move(self_);
}

}  // namespace promptd::server

#include "wire/method_table.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/check.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "promptd/worker/v1/control.pb.h"
#include "wire/wire_status.h"

namespace promptd::wire {
namespace {

absl::Status Unauthenticated() {
  return MakeError(absl::StatusCode::kUnauthenticated, "WORKER_UNAUTHENTICATED",
                   "the worker token is missing or wrong");
}

// Ends a call that is not served.
class Refusal : public MethodTable::Reactor {
 public:
  explicit Refusal(const absl::Status& why) { Finish(ToGrpc(why)); }
  void OnDone() override { delete this; }
};

}  // namespace

ServedCall::ServedCall(const grpc::CallbackServerContext& context)
    : deadline_(absl::InfiniteFuture()) {
  const auto deadline = context.deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    deadline_ = absl::FromChrono(deadline);
  }
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find(kSessionMetadata);
  if (it != metadata.end()) {
    session_.assign(it->second.data(), it->second.size());
  }
}

// One call of a method of the table: reads its input, has the handler run on
// the pool, writes its output. Lives until gRPC and the handler are done with
// it.
class TableCall : public MethodTable::Reactor,
                  public std::enable_shared_from_this<TableCall> {
 public:
  TableCall(const MethodTable* table, const MethodTable::Method* method,
            const grpc::CallbackServerContext& context)
      : table_(table),
        method_(method),
        call_(std::make_shared<ServedCall>(context)) {}

  void Start() { StartRead(&input_.message); }

  void OnReadDone(bool ok) override {
    if (method_->shape == MethodTable::Shape::kBytesIn) {
      if (!ok) return Handle();
      pb::Chunk chunk;
      absl::Status status = Unpack(&input_.message, &chunk);
      if (status.ok() &&
          input_.bytes.size() + chunk.data().size() > method_->max_bytes) {
        status =
            MakeError(absl::StatusCode::kResourceExhausted, "BLOB_TOO_LARGE",
                      absl::StrCat("the bytes are more than the ",
                                   method_->max_bytes, " of a blob"));
      }
      if (!status.ok()) return Finish(ToGrpc(status));
      input_.bytes += chunk.data();
      input_.message.Clear();
      return StartRead(&input_.message);
    }
    if (!ok) {
      return Finish(
          ToGrpc(MakeError(absl::StatusCode::kInvalidArgument,
                           "BAD_WIRE_MESSAGE", "the call brought no message")));
    }
    Handle();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      return Finish(grpc::Status(grpc::StatusCode::CANCELLED, "peer has gone"));
    }
    WriteNext();
  }

  void OnCancel() override { call_->MarkCancelled(); }
  void OnDone() override { self_.reset(); }

  static MethodTable::Reactor* Make(
      const MethodTable* table, const MethodTable::Method* method,
      const grpc::CallbackServerContext& context) {
    auto call = std::make_shared<TableCall>(table, method, context);
    call->self_ = call;
    call->Start();
    return call.get();
  }

 private:
  void Handle() {
    const bool posted =
        table_->post_([self = shared_from_this()] { self->Run(); });
    if (!posted) {
      Finish(ToGrpc(MakeError(absl::StatusCode::kResourceExhausted,
                              "SERVER_BUSY", "too many calls are waiting")));
    }
  }

  void Run() {
    auto answered = std::make_shared<std::atomic<bool>>(false);
    const auto done = [self = shared_from_this(),
                       answered](absl::StatusOr<MethodTable::Output> output) {
      if (!answered->exchange(true)) self->Answer(std::move(output));
    };
    try {
      method_->handler(call_, &input_, done);
    } catch (const std::exception& error) {
      LogEvent(spdlog::level::err, "exception", {{"error", error.what()}});
      done(MakeError(absl::StatusCode::kInternal, "EXCEPTION", error.what()));
    }
  }

  void Answer(absl::StatusOr<MethodTable::Output> output) {
    if (!output.ok()) return Finish(ToGrpc(output.status()));
    output_ = *std::move(output);
    if (method_->shape == MethodTable::Shape::kBytesOut) return WriteNext();
    StartWriteAndFinish(&output_.message, grpc::WriteOptions(),
                        grpc::Status::OK);
  }

  void WriteNext() {
    if (written_ >= output_.bytes.size()) return Finish(grpc::Status::OK);
    if (!FailpointStatus("wire.blob").ok()) {
      return Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken off"));
    }
    const size_t count = std::min(kChunkBytes, output_.bytes.size() - written_);
    pb::Chunk chunk;
    chunk.set_data(output_.bytes.data() + written_, count);
    written_ += count;
    output_.message = Pack(chunk);
    StartWrite(&output_.message);
  }

  const MethodTable* const table_;
  const MethodTable::Method* const method_;
  const SharedCall call_;
  MethodTable::Input input_;
  MethodTable::Output output_;
  size_t written_ = 0;
  std::shared_ptr<TableCall> self_;  // until OnDone
};

void MethodTable::Add(const std::string& method, Shape shape, Handler handler,
                      size_t max_bytes) {
  const bool added =
      methods_.emplace(method, Method{shape, std::move(handler), max_bytes})
          .second;
  PROMPTD_CHECK(added);
}

void MethodTable::Stream(const std::string& method,
                         std::function<Reactor*()> make) {
  PROMPTD_CHECK(streams_.emplace(method, std::move(make)).second);
}

bool MethodTable::Authenticated(
    const grpc::CallbackServerContext& context) const {
  const auto range =
      context.client_metadata().equal_range(kAuthorizationMetadata);
  if (range.first == range.second || std::next(range.first) != range.second) {
    return false;
  }
  return token_.Matches(absl::string_view(range.first->second.data(),
                                          range.first->second.size()));
}

MethodTable::Reactor* MethodTable::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  if (!Authenticated(*context)) {
    LogEvent(spdlog::level::warn, "worker_unauthenticated",
             {{"peer", context->peer()}});
    return new Refusal(Unauthenticated());
  }
  const auto stream = streams_.find(context->method());
  if (stream != streams_.end()) return stream->second();
  const auto method = methods_.find(context->method());
  if (method == methods_.end()) {
    return new Refusal(
        MakeError(absl::StatusCode::kUnimplemented, "NO_SUCH_METHOD",
                  "no such method: run the same release of promptd and "
                  "promptd-worker"));
  }
  return TableCall::Make(this, &method->second, *context);
}

}  // namespace promptd::wire

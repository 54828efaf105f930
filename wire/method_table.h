// The methods that one of our processes serves for another one, behind the
// worker token.
//
// Calls arrive as bytes and not through generated code: who has no token is
// refused before gRPC is asked for the first message, so that a stranger can
// neither fill memory nor reach a parser.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/support/byte_buffer.h"
#include "wire/message.h"
#include "wire/worker_token.h"

namespace promptd::wire {

inline constexpr size_t kChunkBytes = 1 << 20;
inline constexpr char kSessionMetadata[] = "x-promptd-session";

// What a handler may know of its call; outlives it. Thread-safe.
class ServedCall {
 public:
  explicit ServedCall(const grpc::CallbackServerContext& context);

  absl::Time deadline() const { return deadline_; }
  // Of an attached worker; empty when the call names none.
  const std::string& session() const { return session_; }

  void MarkCancelled() { *cancelled_ = true; }
  std::function<bool()> CancelledFunction() const {
    return [flag = cancelled_] { return flag->load(); };
  }

 private:
  absl::Time deadline_;
  std::string session_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ =
      std::make_shared<std::atomic<bool>>(false);
};

using SharedCall = std::shared_ptr<ServedCall>;

// Thread-safe once the server runs; it must outlive the server.
class MethodTable : public grpc::CallbackGenericService {
 public:
  // Runs a task elsewhere, as a gRPC thread must not block; false when there is
  // no room for it.
  using Post = std::function<bool(std::function<void()>)>;
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  using Reactor = grpc::ServerGenericBidiReactor;

  MethodTable(WorkerToken token, Post post)
      : token_(std::move(token)), post_(std::move(post)) {}

  // One message in, one out. `handler` runs on the pool and calls `done` once,
  // on any thread; the request lives until then.
  template <typename Request, typename Response>
  void Unary(const std::string& method,
             std::function<void(const SharedCall&, const Request&,
                                Done<Response> done)>
                 handler) {
    Add(method, Shape::kUnary,
        [handler = std::move(handler)](const SharedCall& call, Input* input,
                                       Done<Output> done) {
          auto request = std::make_shared<Request>();
          const absl::Status parsed = Unpack(&input->message, request.get());
          if (!parsed.ok()) return done(parsed);
          handler(call, *request,
                  [request,
                   done = std::move(done)](absl::StatusOr<Response> reply) {
                    if (!reply.ok()) return done(reply.status());
                    done(Output{.message = Pack(*reply), .bytes = {}});
                  });
        });
  }
  // The same of a handler that answers before it returns.
  template <typename Request, typename Response>
  void UnaryNow(
      const std::string& method,
      std::function<absl::StatusOr<Response>(const SharedCall&, const Request&)>
          handler) {
    Unary<Request, Response>(
        method, [handler = std::move(handler)](
                    const SharedCall& call, const Request& request,
                    Done<Response> done) { done(handler(call, request)); });
  }

  // One message in, bytes out in Chunks.
  template <typename Request>
  void BytesOut(
      const std::string& method,
      std::function<absl::StatusOr<std::string>(const Request&)> handler) {
    Add(method, Shape::kBytesOut,
        [handler = std::move(handler)](const SharedCall&, Input* input,
                                       const Done<Output>& done) {
          Request request;
          const absl::Status parsed = Unpack(&input->message, &request);
          if (!parsed.ok()) return done(parsed);
          auto bytes = handler(request);
          if (!bytes.ok()) return done(bytes.status());
          done(Output{.message = {}, .bytes = *std::move(bytes)});
        });
  }

  // Chunks in, of at most `max_bytes` together, one message out.
  // RESOURCE_EXHAUSTED (BLOB_TOO_LARGE).
  template <typename Response>
  void BytesIn(
      const std::string& method, size_t max_bytes,
      std::function<absl::StatusOr<Response>(const std::string&)> handler) {
    Add(
        method, Shape::kBytesIn,
        [handler = std::move(handler)](const SharedCall&, Input* input,
                                       const Done<Output>& done) {
          const auto reply = handler(input->bytes);
          if (!reply.ok()) return done(reply.status());
          done(Output{.message = Pack(*reply), .bytes = {}});
        },
        max_bytes);
  }

  // A stream that owns itself from its OnDone on.
  void Stream(const std::string& method, std::function<Reactor*()> make);

  Reactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  friend class TableCall;
  enum class Shape { kUnary, kBytesIn, kBytesOut };
  struct Input {
    grpc::ByteBuffer message;
    std::string bytes;
  };
  struct Output {
    grpc::ByteBuffer message;
    std::string bytes;
  };
  using Handler =
      std::function<void(const SharedCall&, Input* input, Done<Output> done)>;
  struct Method {
    Shape shape = Shape::kUnary;
    Handler handler;
    size_t max_bytes = 0;
  };

  void Add(const std::string& method, Shape shape, Handler handler,
           size_t max_bytes = 0);
  bool Authenticated(const grpc::CallbackServerContext& context) const;

  const WorkerToken token_;
  const Post post_;
  std::map<std::string, Method> methods_;  // by "/service/method"
  std::map<std::string, std::function<Reactor*()>> streams_;
};

}  // namespace promptd::wire

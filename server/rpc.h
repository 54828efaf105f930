// The one wrapper that runs every RPC: request id, principal, deadline,
// cancellation, metrics for every outcome, log line, and a barrier that turns
// an exception into INTERNAL without details.
//
//   return rpc_->Unary(context, "GetTask", [=, this](const Call& call) {
//     return DoGetTask(call.principal(), *request, reply);
//   });
//
// Handlers run on a bounded pool; when it is full the call gets
// RESOURCE_EXHAUSTED (SERVER_BUSY) at once. Streams make a Call with Begin()
// and run their steps with Run().
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/call.h"

namespace grpc {
class CallbackServerContext;
class ServerUnaryReactor;
}  // namespace grpc

namespace promptd {
class WorkPool;
}

namespace promptd::server {

class Metrics;

// Where a step runs. One that waits for no disk and computes next to nothing
// may run on gRPC's own thread: that spares a change of threads, which costs
// more than such a step does.
enum class Where { kPool, kHere };

// The wrapper for the methods of one service. Thread-safe. `metrics` and
// `pool` must outlive it, and it must outlive the gRPC server.
class Rpc {
 public:
  using Done = std::function<void(absl::Status)>;
  using Handler = std::function<absl::Status(const Call&)>;
  // Calls `done` exactly once, on any thread. The request and the reply stay
  // valid until then.
  using AsyncHandler =
      std::function<void(const std::shared_ptr<Call>&, Done done)>;

  // Tells of a call that is admitted where it runs; null: on the pool.
  using Choice = std::function<Where(const Call&)>;

  // `service` is the full name, e.g. "promptd.v1.TrainingService"; its
  // methods' series are made now.
  Rpc(std::string service, Metrics* metrics, WorkPool* pool);

  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const std::string& method, Handler handler);
  grpc::ServerUnaryReactor* UnaryAsync(grpc::CallbackServerContext* context,
                                       const std::string& method,
                                       const DeadlineRule& rule,
                                       AsyncHandler handler,
                                       const Choice& where = nullptr);

  // For streams.
  std::shared_ptr<Call> Begin(grpc::CallbackServerContext* context,
                              const std::string& method) const;
  // Runs `step` unless the call is over, and hands its status to `done` there;
  // `done` gets SERVER_BUSY on this thread when the pool is full. Exceptions of
  // `step` become INTERNAL.
  void Run(Where where, std::shared_ptr<Call> call,
           std::function<absl::Status()> step, Done done) const;

 private:
  const std::string service_;
  WorkPool* const pool_;
  std::map<std::string, const RpcSeries*> series_;
};

// `step`'s status; INTERNAL (EXCEPTION) when it throws, logged under the
// call's request id.
absl::Status Guarded(const Call& call,
                     const std::function<absl::Status()>& step);

}  // namespace promptd::server

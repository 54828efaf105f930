// One RPC in progress: who calls, until when, under which request id; and its
// one end, which counts, times and logs it and makes the reply's status.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/principal.h"

namespace grpc {
class CallbackServerContext;
class Status;
}  // namespace grpc

namespace promptd::server {

struct RpcSeries;

// A method's own bounds on a call's time.
struct DeadlineRule {
  // For a call that brings no deadline; infinite: none is set.
  absl::Duration missing = absl::InfiniteDuration();
  // A later deadline is brought forward to this.
  absl::Duration most = absl::InfiniteDuration();
};

// Whether a peer, as gRPC names it, reaches the server by a loopback address or
// a Unix socket.
bool IsWithinMachine(absl::string_view peer);

// Thread-safe. The context may go away once End() was called.
class Call {
 public:
  // Takes the request id from "x-request-id" when it is 1 to 64 characters of
  // [A-Za-z0-9._-], else makes one; echoes it in the reply's metadata.
  Call(std::string service, std::string method, const RpcSeries& series,
       grpc::CallbackServerContext* context, const DeadlineRule& rule);
  // A call that was never ended counts as INTERNAL.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const std::string& request_id() const { return request_id_; }
  const Principal& principal() const { return principal_; }
  absl::Time deadline() const { return deadline_; }
  // Whether its connection is one within this machine.
  bool from_this_machine() const { return IsWithinMachine(peer_); }
  // Why the call must not run: the principal could not be resolved.
  const absl::Status& admission() const { return admission_; }

  // The client has gone, or its deadline has passed.
  void MarkCancelled() { *cancelled_ = true; }
  bool cancelled() const { return *cancelled_; }
  // The same as a function that outlives the call.
  std::function<bool()> CancelledFunction() const;

  // CANCELLED or DEADLINE_EXCEEDED if the call is over for its client.
  absl::Status CheckAlive() const;

  // Counts, times and logs. Call once, just before Finish.
  grpc::Status End(const absl::Status& status);

 private:
  const std::string service_;
  const std::string method_;
  const RpcSeries& series_;
  const absl::Time start_;
  std::string request_id_;
  std::string peer_;
  Principal principal_;
  absl::Status admission_;
  absl::Time deadline_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ =
      std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> ended_ = false;
};

}  // namespace promptd::server

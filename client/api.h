// The connection to one promptd: a channel, and one way to make a call.
//
//   Api api("127.0.0.1:7080", absl::Seconds(30));
//   ASSIGN_OR_RETURN(const auto task,
//                    api.Call(&v1::PromptService::Stub::GetTask, request));
//
// Nothing is sent before the first call. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/rpc_status.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace promptd::client {

class Api {
 public:
  // `timeout` bounds every single call; streams are bounded by it only when
  // `timeout_is_explicit` (the user asked for it). An empty `tenant` is the
  // server's default one.
  Api(const std::string& server, absl::Duration timeout,
      bool timeout_is_explicit = false, std::string tenant = "");

  // What the stub of a streaming call is made on.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& address() const { return address_; }

  // One unary call with the deadline; errors through FromGrpcStatus.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) const {
    const std::unique_ptr<grpc::ClientContext> context = UnaryContext();
    Response response;
    const grpc::Status status =
        (Stub(channel_).*method)(context.get(), request, &response);
    if (!status.ok()) return Error(status);
    return response;
  }

  std::unique_ptr<grpc::ClientContext> UnaryContext() const;
  std::unique_ptr<grpc::ClientContext> StreamContext() const;
  absl::Status Error(const grpc::Status& status) const {
    return FromGrpcStatus(status, address_);
  }

 private:
  std::unique_ptr<grpc::ClientContext> NewContext() const;

  const std::string address_;
  const absl::Duration timeout_;
  const bool timeout_is_explicit_;
  const std::string tenant_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace promptd::client

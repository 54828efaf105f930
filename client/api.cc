#include "client/api.h"

#include <chrono>
#include <utility>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace promptd::client {
namespace {

// Replies are small; a version's export is the largest.
constexpr int kMaxReceiveBytes = 64 << 20;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  arguments.SetMaxSendMessageSize(-1);  // the server states its own limit
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetUserAgentPrefix("promptctl");
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

Api::Api(const std::string& server, absl::Duration timeout,
         bool timeout_is_explicit, std::string tenant)
    : address_(server),
      timeout_(timeout),
      timeout_is_explicit_(timeout_is_explicit),
      tenant_(std::move(tenant)),
      channel_(MakeChannel(server)) {}

std::unique_ptr<grpc::ClientContext> Api::NewContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!tenant_.empty()) context->AddMetadata("x-promptd-tenant", tenant_);
  return context;
}

std::unique_ptr<grpc::ClientContext> Api::UnaryContext() const {
  auto context = NewContext();
  context->set_deadline(std::chrono::system_clock::now() +
                        absl::ToChronoMilliseconds(timeout_));
  return context;
}

std::unique_ptr<grpc::ClientContext> Api::StreamContext() const {
  if (timeout_is_explicit_) return UnaryContext();
  return NewContext();
}

}  // namespace promptd::client

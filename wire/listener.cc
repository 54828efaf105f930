#include "wire/listener.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "wire/channel.h"
#include "wire/wire_status.h"

namespace promptd::wire {
namespace {

constexpr size_t kQuotaBytes = size_t{2} << 30;
constexpr int kMaxConcurrentStreams = 1000;

void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  grpc::ResourceQuota quota("promptd-wire");
  quota.Resize(kQuotaBytes);
  builder->SetResourceQuota(quota);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              kMaxConcurrentStreams);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  // A peer that has vanished without a word is noticed by either side.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const Address& address, const std::optional<TlsIdentity>& tls,
    MethodTable* table,
    const std::function<void(grpc::ServerBuilder*)>& adjust) {
  // gRPC's own health service would answer without a token.
  grpc::EnableDefaultHealthCheckService(false);
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  int port = 0;
  builder.AddListeningPort(FormatAddress(address), ListenerCredentialsOf(tls),
                           &port);
  builder.RegisterCallbackGenericService(table);
  if (adjust) adjust(&builder);
  std::unique_ptr<Listener> listener(new Listener);
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr || port == 0) {
    return MakeError(
        absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
        absl::StrCat(
            "cannot listen on ", FormatAddress(address),
            ": the address is in use or not this machine's",
            tls ? ", or certificate and key do not belong together" : "",
            "; choose another"));
  }
  listener->port_ = port;
  return listener;
}

Listener::~Listener() { Shutdown(absl::InfinitePast()); }

void Listener::Shutdown(absl::Time deadline) {
  if (server_ == nullptr) return;
  // gRPC reads a time before 1970 as "never".
  server_->Shutdown(absl::ToChronoTime(std::max(deadline, absl::Now())));
  server_->Wait();
}

}  // namespace promptd::wire

#include "server/grpc_listener.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/reflection_gate.h"

namespace promptd::server {
namespace {

constexpr int kMaxConcurrentStreams = 100;
constexpr int kMaxMetadataBytes = 8 << 10;
constexpr size_t kQuotaBytes = size_t{256} << 20;
// Of the few services that gRPC itself runs on threads (reflection).
constexpr int kQuotaThreads = 32;
constexpr int kMinute = 60'000;  // ms
// An exported context may be larger than anything that comes in.
constexpr int kMaxReplyBytes = 64 << 20;

void SetLimits(const Limits& limits, bool loopback,
               grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(limits.max_message_bytes));
  builder->SetMaxSendMessageSize(kMaxReplyBytes);
  grpc::ResourceQuota quota("promptd");
  quota.Resize(kQuotaBytes).SetMaxThreads(kQuotaThreads);
  builder->SetResourceQuota(quota);
  // Two servers must not share a port without noticing.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              kMaxConcurrentStreams);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 2 * kMinute);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  builder->AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinute);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 5 * kMinute);
  if (!loopback) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 60 * kMinute);
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 30'000);
  }
}

std::vector<std::string> ServiceNames() {
  const google::protobuf::DescriptorPool* pool =
      google::protobuf::DescriptorPool::generated_pool();
  std::vector<std::string> names = {""};
  for (const char* name :
       {"Server", "Encoder", "Dataset", "Training", "Prompt", "Classify"}) {
    const auto* service =
        pool->FindServiceByName(absl::StrCat("promptd.v1.", name, "Service"));
    if (service != nullptr) names.push_back(service->full_name());
  }
  names.emplace_back("inference.GRPCInferenceService");
  return names;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcListener>> GrpcListener::Start(
    const Address& address, const Limits& limits,
    const std::vector<grpc::Service*>& services) {
  const bool loopback = IsLoopback(address.host);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(limits, loopback, &builder);
  if (!loopback) CloseReflection(&builder);
  int port = 0;
  builder.AddListeningPort(FormatAddress(address),
                           grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<GrpcListener> listener(new GrpcListener);
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr || port == 0) {
    return MakeError(
        absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
        absl::StrCat("cannot listen on ", FormatAddress(address),
                     ": the address is in use or not this machine's; choose "
                     "another with --listen"));
  }
  listener->port_ = port;
  listener->names_ = ServiceNames();
  listener->SetServing(false);
  return listener;
}

GrpcListener::~GrpcListener() = default;

void GrpcListener::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  for (const std::string& name : names_) {
    health->SetServingStatus(name, serving);
  }
}

void GrpcListener::Shutdown(absl::Time deadline) {
  // gRPC reads a time before 1970 as "never".
  server_->Shutdown(absl::ToChronoTime(std::max(deadline, absl::Now())));
  server_->Wait();
}

}  // namespace promptd::server

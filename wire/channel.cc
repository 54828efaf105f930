#include "wire/channel.h"

#include "absl/time/clock.h"
#include "common/failpoint.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "wire/wire_status.h"

namespace promptd::wire {

std::shared_ptr<grpc::Channel> Connect(const std::string& address,
                                       const std::optional<TlsIdentity>& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Also the time that an attempt to connect has.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Proxies of the environment are for the outside.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, ChannelCredentialsOf(tls),
                                   arguments);
}

Channels::~Channels() {
  while (Prune()) absl::SleepFor(absl::Milliseconds(1));
}

std::shared_ptr<grpc::Channel> Channels::Connect(
    const std::string& address, const std::optional<TlsIdentity>& tls) {
  auto channel = wire::Connect(address, tls);
  absl::MutexLock lock(&mutex_);
  channels_.push_back(channel);
  return channel;
}

bool Channels::Prune() {
  absl::MutexLock lock(&mutex_);
  std::erase_if(channels_,
                [](const auto& channel) { return channel.use_count() == 1; });
  return !channels_.empty();
}

void Prepare(const WorkerToken& token, absl::Time deadline,
             grpc::ClientContext* context) {
  std::string header = token.header();
  FailpointDamage("worker.token", &header);
  context->AddMetadata(kAuthorizationMetadata, header);
  if (deadline != absl::InfiniteFuture()) {
    context->set_deadline(absl::ToChronoTime(deadline));
  }
}

}  // namespace promptd::wire

// Connections between our own processes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "wire/tls.h"
#include "wire/worker_token.h"

namespace promptd::wire {

// A call's images, or the scores of all their heads.
inline constexpr int kMaxMessageBytes = 256 << 20;
inline constexpr int kKeepaliveMs = 10'000;
inline constexpr int kKeepaliveTimeoutMs = 5'000;

// A connection of its own to "HOST:PORT"; made at the first call, and again,
// within a second, when it is lost.
std::shared_ptr<grpc::Channel> Connect(
    const std::string& address, const std::optional<TlsIdentity>& tls = {});

// Token and deadline of one call; it is not queued for a connection that is
// not there.
void Prepare(const WorkerToken& token, absl::Time deadline,
             grpc::ClientContext* context);

}  // namespace promptd::wire

// Who calls. One function resolves it for every RPC.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

namespace promptd::server {

// The owner of everything a call reads or writes.
struct Principal {
  std::string tenant;
};

// There are no keys yet: every caller that can reach the listener is the
// tenant "default" (the listener is loopback only unless the operator said
// otherwise). UNAUTHENTICATED once keys exist. Thread-safe.
absl::StatusOr<Principal> ResolvePrincipal(
    const grpc::CallbackServerContext& context);

}  // namespace promptd::server

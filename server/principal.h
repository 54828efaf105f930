// Who calls. One function resolves it for every RPC.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class CallbackServerContext;
}

namespace promptd::server {

// The owner of everything a call reads or writes.
struct Principal {
  std::string tenant;
};

// The metadatum by which a caller names its tenant.
inline constexpr char kTenantMetadata[] = "x-promptd-tenant";

// There are no keys yet: a tenant is what the caller says it is, "default" when
// it says nothing, and everybody who can reach the listener can be anybody (the
// listener is loopback only unless the operator said otherwise).
// INVALID_ARGUMENT (INVALID_TENANT) for a name that is not one of
// registry::IsValidName, or for two of them. Thread-safe.
absl::StatusOr<Principal> ResolvePrincipal(
    const grpc::CallbackServerContext& context);

}  // namespace promptd::server

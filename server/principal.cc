#include "server/principal.h"

namespace promptd::server {

absl::StatusOr<Principal> ResolvePrincipal(
    const grpc::CallbackServerContext& /*context*/) {
  return Principal{.tenant = "default"};
}

}  // namespace promptd::server

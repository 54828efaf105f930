#include "server/principal.h"

#include <iterator>

#include "common/error.h"
#include "grpcpp/server_context.h"
#include "registry/prompt_registry.h"

namespace promptd::server {

absl::StatusOr<Principal> ResolvePrincipal(
    const grpc::CallbackServerContext& context) {
  const auto named = context.client_metadata().equal_range(kTenantMetadata);
  if (named.first == named.second) return Principal{.tenant = "default"};
  const std::string tenant(named.first->second.data(),
                           named.first->second.size());
  if (std::next(named.first) == named.second && registry::IsValidName(tenant)) {
    return Principal{.tenant = tenant};
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_TENANT",
                   "the metadatum x-promptd-tenant must be there once and be "
                   "1 to 63 of a-z, 0-9, \".\", \"_\", \"-\", beginning with "
                   "a letter or digit");
}

}  // namespace promptd::server

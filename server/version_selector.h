// The version that a request means: a number, an alias, or by default the
// alias "production". With all that is stored of it; requests that classify
// take it from server/version_pins.h.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "registry/prompt_registry.h"

namespace promptd::server {

// `Request` has a task and the oneof `selector` of version and alias.
// Errors: registry/prompt_registry.h.
template <typename Request>
absl::StatusOr<registry::PromptVersion> SelectVersion(
    registry::PromptRegistry& prompts, const std::string& tenant,
    const Request& request) {
  if (request.selector_case() == Request::kVersion) {
    return prompts.GetVersion(tenant, request.task(), request.version());
  }
  return prompts.GetVersionByAlias(tenant, request.task(), request.alias());
}

}  // namespace promptd::server

// Whether a context and the class names after it fit an encoder's text length.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/error.h"
#include "server/backend.h"
#include "worker/executor.h"

namespace promptd::server {

struct ContextRequest {
  int tokens = 0;    // M; 0: the default, or as many as `init` has
  std::string init;  // words; empty: random
  std::vector<std::string> class_names;
  std::string names_field = "spec.dataset.class_names";  // for messages
};

// The context's length M. Problems are added to `violations` under
// "spec.context_tokens", "spec.context_init" and `names_field` (each class name
// that is too long, with its counts). Errors: the executor's.
absl::StatusOr<int> CheckContext(const Backend& backend,
                                 const worker::EncoderDescription& encoder,
                                 const ContextRequest& request,
                                 std::vector<FieldViolation>* violations);

// "a, b, c", cut after 20 with how many more there are.
std::string JoinSome(const std::vector<std::string>& parts);

}  // namespace promptd::server

// Token counts of a prompt, before anything is trained.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/executor.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// As Executor::CheckPrompt, on one encoder.
absl::StatusOr<PromptCheck> CountPromptTokens(
    const clip::Encoder& encoder, int context_tokens,
    const std::string& context_init,
    const std::vector<std::string>& class_names);

}  // namespace promptd::worker

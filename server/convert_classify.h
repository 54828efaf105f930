// Classification outcomes as promptd.v1 messages. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "promptd/v1/classify.pb.h"
#include "worker/executor.h"

namespace promptd::server {

// Fills results and timings; the rest of `out` is left as it is. INTERNAL
// (BAD_CLASS_INDEX) when a score names no class.
absl::Status ToProto(const worker::ClassifyOutcome& outcome,
                     const std::vector<std::string>& class_names,
                     v1::ClassifyResponse* out);

}  // namespace promptd::server

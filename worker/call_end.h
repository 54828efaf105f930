// Why a call ends before its answer; the same for images and texts.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace promptd::worker {

// UNAVAILABLE (SHUTTING_DOWN).
absl::Status ShuttingDown();

// OK while somebody waits for the answer; `cancelled` may be empty.
// DEADLINE_EXCEEDED (DEADLINE_EXPIRED); CANCELLED.
absl::Status CheckAwaited(absl::Time deadline,
                          const std::function<bool()>& cancelled);

}  // namespace promptd::worker

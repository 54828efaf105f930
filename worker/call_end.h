// Why a call ends before its answer; the same for images and texts.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace promptd::worker {

// UNAVAILABLE (SHUTTING_DOWN).
absl::Status ShuttingDown();

// OK while somebody will wait for an answer that comes at `answered`;
// `cancelled` may be empty. DEADLINE_EXCEEDED (DEADLINE_EXPIRED); CANCELLED.
absl::Status CheckAwaited(absl::Time deadline,
                          const std::function<bool()>& cancelled,
                          absl::Time answered = absl::Now());

}  // namespace promptd::worker

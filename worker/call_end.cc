#include "worker/call_end.h"

#include "common/error.h"

namespace promptd::worker {

absl::Status ShuttingDown() {
  return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                   "the server is shutting down: try another one");
}

absl::Status CheckAwaited(absl::Time deadline,
                          const std::function<bool()>& cancelled,
                          absl::Time answered) {
  if (answered >= deadline) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXPIRED",
                     "no answer was ready in time for the deadline");
  }
  if (cancelled && cancelled()) {
    return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                     "the caller cancelled");
  }
  return absl::OkStatus();
}

}  // namespace promptd::worker

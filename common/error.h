// The error vocabulary of every room: an absl::Status with a stable reason.
//
//   return MakeError(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND",
//                    "no dataset \"pets\": push it with `promptctl dataset "
//                    "push`");
//
// The reason (UPPER_SNAKE_CASE, at most 63 characters) and the field
// violations travel as status payloads; server/grpc_status.h turns them into
// google.rpc.ErrorInfo and google.rpc.BadRequest. A message says what failed
// and what to do about it. Functions here are thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace promptd {

// One problem of one request field, named by its path, e.g. "spec.shots".
struct FieldViolation {
  std::string field;
  std::string description;
};

absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view message);

// INVALID_ARGUMENT with every violation in the message and in the payload.
// `violations` must not be empty.
absl::Status InvalidFields(absl::string_view reason,
                           const std::vector<FieldViolation>& violations);

// `status`, not OK, with these violations in its payload and its message as it
// is: an error that comes from another process. None leave it as it is.
absl::Status WithFields(absl::Status status,
                        const std::vector<FieldViolation>& violations);

// The reason given to MakeError, or a generic one that names the code.
std::string ErrorReason(const absl::Status& status);

// The violations given to InvalidFields; empty for other errors.
std::vector<FieldViolation> ErrorFields(const absl::Status& status);

// The same status with "`context`: " before its message; payloads are kept.
// OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace promptd

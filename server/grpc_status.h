// The one place where an absl::Status becomes a grpc::Status.
//
// The reply carries a google.rpc.Status in its details: ErrorInfo (stable
// reason, domain "promptd", the request id), BadRequest for field violations
// and RetryInfo where a retry makes sense. What only the operator may see
// (internal errors, file names) is replaced by a sentence; the caller logs the
// original. Everything is cut so that it fits gRPC's 8 KiB of metadata: a
// longer trailer would lose the whole error. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace promptd::server {

grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view request_id);

// What a client may read of `status`: its message, or a sentence that points
// to the log when the message could name files or internals.
std::string PublicMessage(const absl::Status& status);

}  // namespace promptd::server

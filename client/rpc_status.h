// A gRPC reply's error as the status that the rest of promptctl speaks.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace promptd::client {

// Keeps code, reason, field violations and request id, decoded from the
// google.rpc.Status in the reply's details. Without details the error did not
// come from promptd: an unreachable `server` becomes UNAVAILABLE
// (SERVER_UNREACHABLE), a passed deadline DEADLINE_EXCEEDED (TIMEOUT), each
// with what to do. OK stays OK.
absl::Status FromGrpcStatus(const grpc::Status& status,
                            absl::string_view server);

// The request id that FromGrpcStatus found; empty when there was none.
std::string RequestIdOf(const absl::Status& status);

// Payload that names the request.
inline constexpr char kRequestIdUrl[] = "promptctl/request-id";

}  // namespace promptd::client

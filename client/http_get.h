// One plain HTTP GET on this machine, enough to read /metrics.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace promptd::client {

// The body of `path` from "HOST:PORT" (a number for the host, [..] for IPv6).
// UNAVAILABLE (HTTP_FAILED) when it cannot be had or the answer is not 200;
// DEADLINE_EXCEEDED (TIMEOUT); bodies are bounded by 16 MiB. Thread-safe.
absl::StatusOr<std::string> HttpGet(const std::string& address,
                                    const std::string& path,
                                    absl::Duration timeout);

// The body of a whole HTTP/1.1 answer with a length, in chunks, or up to the
// end of the connection. UNAVAILABLE (HTTP_FAILED).
absl::StatusOr<std::string> ParseHttpResponse(absl::string_view response);

}  // namespace promptd::client

// HOST:PORT as typed by an operator.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd {

struct Address {
  std::string host;  // without brackets
  int port = 0;      // 0: a free one
};

// "127.0.0.1:7080", "[::1]:7080", "localhost:0". INVALID_ARGUMENT
// (INVALID_ADDRESS).
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// The other way; IPv6 hosts in brackets.
std::string FormatAddress(const Address& address);

// Whether only this machine can reach it: 127.0.0.0/8, ::1 or "localhost".
bool IsLoopback(const std::string& host);

}  // namespace promptd

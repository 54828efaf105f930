// What promptctl tells the shell. Scripts depend on these numbers.
#pragma once

#include "absl/status/status.h"

namespace promptd::client {

enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,        // the command line itself is wrong
  kNotFound = 3,     // a name, number or file that does not exist
  kDenied = 4,       // who calls is not known or not allowed
  kUnavailable = 5,  // the server cannot be reached or is stopping: try again
  kExhausted = 6,    // a quota, a queue or a disk is full
  kTimeout = 7,      // --timeout or a deadline passed
  kInterrupted = 130,
};

// The reason of every error that means "the command line is wrong".
inline constexpr char kUsageReason[] = "USAGE";

ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace promptd::client

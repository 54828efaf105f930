// How promptctl shows an error, as text in four parts or as JSON:
//
//   error: cannot train "cars": class "bmw" has 1 image
//     why   spec.shots: ...            (every field violation)
//     fix   add images, or use --shots 1
//     ref   TOO_FEW_IMAGES  request 8f1c...
//
// Functions are pure but for Print. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/console.h"
#include "client/exit_code.h"

namespace promptd::client {

struct ErrorReport {
  std::string what;
  std::vector<std::string> why;
  std::string fix;
  std::string reason;  // stable, upper case
  std::string request_id;
  ExitCode exit_code = ExitCode::kFailed;
};

// `status` with "`what`" as the headline, e.g. "cannot train \"cars\"".
absl::Status WithWhat(const absl::Status& status, absl::string_view what);
// `status` with one more "why" line.
absl::Status WithWhy(const absl::Status& status, absl::string_view why);

// `status` must not be OK. A message "what failed: what to do" is split at
// the colon where the second half is a sentence for the user.
ErrorReport ReportOf(const absl::Status& status);

std::string ErrorText(const ErrorReport& report);
nlohmann::json ErrorJson(const ErrorReport& report);

// Prints the error in the console's format on its message stream and returns
// the exit code.
ExitCode PrintError(const absl::Status& status, Console& console);

}  // namespace promptd::client

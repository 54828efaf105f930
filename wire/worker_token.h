// The secret that a front end and its workers share.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::wire {

inline constexpr char kAuthorizationMetadata[] = "authorization";

// FAILED_PRECONDITION (`reason`) when everybody on the machine may open the
// file, which holds a `what`. OK where there is none.
absl::Status CheckPrivate(const std::string& path, const std::string& what,
                          const std::string& reason);

// Thread-safe.
class WorkerToken {
 public:
  static constexpr size_t kMinBytes = 24;

  // The text of a file, without white space around it. FAILED_PRECONDITION
  // (TOKEN_FILE_EXPOSED) when everybody on the machine may read or write the
  // file; INVALID_ARGUMENT (BAD_TOKEN) when the text is shorter than kMinBytes
  // or has other characters than visible ASCII; errors of ReadFile. No error
  // shows the text.
  static absl::StatusOr<WorkerToken> FromFile(const std::string& path);
  // INVALID_ARGUMENT (BAD_TOKEN).
  static absl::StatusOr<WorkerToken> FromText(absl::string_view text);

  // The value of the metadatum "authorization".
  const std::string& header() const { return header_; }

  // Whether a received header is that value; the time it takes says nothing
  // about where they differ.
  bool Matches(absl::string_view header) const;

 private:
  explicit WorkerToken(std::string header) : header_(std::move(header)) {}

  std::string header_;
};

}  // namespace promptd::wire

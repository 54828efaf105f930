// Whole files: bounded reads, and writes that are either complete or absent.
// Every error names the path. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd {

// The bytes of a regular file of at most `max_bytes`.
// NOT_FOUND (FILE_NOT_FOUND); INVALID_ARGUMENT (FILE_TOO_LARGE,
// NOT_A_REGULAR_FILE); UNAVAILABLE (FILE_READ_FAILED).
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     int64_t max_bytes);

// Writes `bytes` to a temporary file beside `path`, syncs it, renames it over
// `path` and syncs the folder: after OK the file survives a power cut, after
// an error `path` is as it was and no temporary file is left.
// RESOURCE_EXHAUSTED (DISK_FULL); UNAVAILABLE (FILE_WRITE_FAILED).
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view bytes);

}  // namespace promptd

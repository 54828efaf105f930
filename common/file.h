// Whole files: bounded reads, and writes that are either complete or absent.
// Every error names the path. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
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

// `bytes` bytes of a regular file from `offset` on. As ReadFile; OUT_OF_RANGE
// (FILE_TOO_SHORT) when the file ends before.
absl::StatusOr<std::string> ReadFileRange(const std::string& path,
                                          int64_t offset, int64_t bytes);

// The SHA-256 of a regular file, in hexadecimal digits; read piece by piece,
// so its size does not matter. `cancelled` is polled before each piece and may
// be empty. As ReadFile; CANCELLED (CANCELLED).
absl::StatusOr<std::string> HashFile(
    const std::string& path, const std::function<bool()>& cancelled = {});

// Writes `bytes` to a temporary file beside `path`, syncs it, renames it over
// `path` and syncs the folder: after OK the file survives a power cut, after
// an error `path` is as it was and no temporary file is left.
// RESOURCE_EXHAUSTED (DISK_FULL); UNAVAILABLE (FILE_WRITE_FAILED).
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view bytes);

// What was created, renamed or removed in `folder` survives a power cut after
// OK. UNAVAILABLE (FILE_WRITE_FAILED).
absl::Status SyncFolder(const std::string& folder);

}  // namespace promptd

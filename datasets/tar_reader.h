// The entries of an uncompressed tar archive, read in place: only headers are
// looked at, nothing is unpacked, so no name in an archive ever reaches the
// file system. POSIX ustar and pax, and GNU's long names. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::datasets {

struct TarEntry {
  std::string name;  // as the archive has it, never trusted
  int64_t offset = 0;
  int64_t bytes = 0;
};

// The regular files of the archive, in order; folders are left out.
//
// INVALID_ARGUMENT (BAD_TAR) names the archive, the byte and the entry: a
// checksum or a number that is wrong, entries that are links, devices or
// sparse, extended headers over 1 MiB, more than four million entries, an
// archive that ends early or is compressed. NOT_FOUND (LIST_NOT_FOUND); else
// ReadFile's.
absl::StatusOr<std::vector<TarEntry>> ListTar(const std::string& path);

}  // namespace promptd::datasets

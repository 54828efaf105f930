// The directory at the end of a ZIP archive. Internal to weights/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/zip_archive.h"

namespace promptd::weights {

// A local header without its name and extra field.
inline constexpr int64_t kZipLocalBytes = 30;

// Where the central directory lies; it ends where the end records begin.
struct ZipDirectoryPlace {
  int64_t begin_bytes = 0;
  int64_t size_bytes = 0;
  int64_t entries = 0;
};

// One record of the central directory.
struct ZipRecord {
  std::string name;
  int64_t record_offset = 0;  // of this record, from the file's start
  int64_t header_offset = 0;  // of the local header
  int64_t compressed_bytes = 0;
  int64_t size_bytes = 0;
  uint32_t crc32 = 0;
  uint16_t flags = 0;
  uint16_t method = 0;
};

constexpr uint16_t kZipStored = 0;
constexpr uint16_t kZipDeflated = 8;
constexpr uint16_t kZipHasDescriptor = 1 << 3;

// From the records at the very end of the file; no comment is allowed.
absl::StatusOr<ZipDirectoryPlace> FindZipDirectory(absl::string_view bytes,
                                                   absl::string_view source,
                                                   const ZipLimits& limits);

// All records, each checked on its own: names, methods, flags, sizes.
absl::StatusOr<std::vector<ZipRecord>> ReadZipDirectory(
    absl::string_view bytes, absl::string_view source,
    const ZipDirectoryPlace& place, ZipLayout layout);

// Walks the extra fields of a header: those of torch's padding ("FB") and of
// ZIP64 are allowed, the latter's content goes to `zip64`. False when they are
// malformed or others.
bool ReadZipExtra(absl::string_view extra, absl::string_view* zip64);

// INVALID_ARGUMENT with `source: entry "name" at offset N: what`; without the
// entry when `name` is empty.
absl::Status ZipError(absl::string_view source, absl::string_view reason,
                      absl::string_view name, int64_t offset,
                      absl::string_view what);

}  // namespace promptd::weights

// A whole file in memory without a copy of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd {

// Read-only; the pages are the system's. For files that nobody changes while
// they are mapped: what is written into the file is seen, and reading beyond a
// new, shorter end kills the process. Immutable, hence thread-safe.
class MappedFile {
 public:
  // As ReadFile. The system is told to read all of it ahead.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(
      const std::string& path, int64_t max_bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Valid as long as this object.
  absl::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(absl::string_view bytes) : bytes_(bytes) {}

  absl::string_view bytes_;
};

}  // namespace promptd

// Writes ZIP archives of stored entries that the reader, Python and torch read.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace promptd::weights {

// Deterministic: no times, no names of machines. Thread-compatible.
class ZipWriter {
 public:
  // `alignment`: where contents begin, in bytes from the file's start; 64 is
  // torch's, which maps its files. Padding is an extra field as torch's.
  explicit ZipWriter(int64_t alignment) : alignment_(alignment) {}

  // `name` as the reader allows it, not added before.
  void Add(absl::string_view name, absl::string_view content);

  // The archive, below 4 GiB: there is no ZIP64 here. Once.
  std::string Finish();

 private:
  const int64_t alignment_;
  std::string bytes_;
  std::string directory_;
  int entries_ = 0;
};

}  // namespace promptd::weights

// Where the bytes of an image are on this machine: a file, or a part of one
// (an uncompressed archive is read in place). Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace promptd::datasets {

struct ImageSource {
  std::string file;
  int64_t offset = 0;
  int64_t bytes = -1;  // -1: the whole file
};

// The encoded bytes, at most `max_bytes`. The errors of ReadFile and
// ReadFileRange.
absl::StatusOr<std::string> ReadImageSource(const ImageSource& source,
                                            int64_t max_bytes);

}  // namespace promptd::datasets

// Unaligned little-endian numbers out of bytes. Internal to weights/.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace promptd::weights {

// The caller has checked that `width` (1 to 8) bytes lie at `at`.
inline uint64_t LittleEndian(absl::string_view bytes, int64_t at, int width) {
  uint64_t value = 0;
  for (int i = width - 1; i >= 0; --i) {
    value = value << 8 |
            static_cast<unsigned char>(bytes[static_cast<size_t>(at + i)]);
  }
  return value;
}

}  // namespace promptd::weights

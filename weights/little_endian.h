// Unaligned little-endian numbers in bytes. Internal to weights/.
#pragma once

#include <cstdint>
#include <string>

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

// `width` (1 to 8) bytes of `value`.
inline std::string ToLittleEndian(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  return bytes;
}

}  // namespace promptd::weights

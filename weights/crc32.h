// The checksum of ZIP archives.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace promptd::weights {

// CRC-32 as in ISO 3309 (polynomial 0x04c11db7, reflected).
uint32_t Crc32(absl::string_view bytes);

}  // namespace promptd::weights

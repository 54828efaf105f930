#include "weights/crc32.h"

#include <array>
#include <cstddef>

namespace promptd::weights {
namespace {

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: what byte b followed by k zero bytes leaves.
constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) {
      rest = (rest & 1) != 0 ? (rest >> 1) ^ 0xedb88320u : rest >> 1;
    }
    tables[0][byte] = rest;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

// Eight bytes a step: checkpoints have gigabytes.
uint32_t Crc32(absl::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* const end = at + bytes.size();
  uint32_t rest = 0xffffffffu;
  for (; end - at >= 8; at += 8) {
    rest ^= static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 |
            static_cast<uint32_t>(at[2]) << 16 |
            static_cast<uint32_t>(at[3]) << 24;
    rest = kTables[7][rest & 0xff] ^ kTables[6][(rest >> 8) & 0xff] ^
           kTables[5][(rest >> 16) & 0xff] ^ kTables[4][rest >> 24] ^
           kTables[3][at[4]] ^ kTables[2][at[5]] ^ kTables[1][at[6]] ^
           kTables[0][at[7]];
  }
  for (; at < end; ++at) rest = (rest >> 8) ^ kTables[0][(rest ^ *at) & 0xff];
  return ~rest;
}

}  // namespace promptd::weights

// How many elements a shape from outside holds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace promptd::weights {

// The product of the dimensions; nothing when one of them is not positive or
// the product is more than `most`. Never overflows.
inline std::optional<int64_t> ElementCount(const std::vector<int64_t>& shape,
                                           int64_t most) {
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension <= 0 || count > most / dimension) return std::nullopt;
    count *= dimension;
  }
  return count;
}

}  // namespace promptd::weights

// Tensors whose values do not matter.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "common/float_tensor.h"

namespace promptd::testing {

// A tensor of `shape` that holds `value` everywhere.
inline FloatTensor Filled(std::vector<int64_t> shape, float value) {
  const int64_t count = std::accumulate(shape.begin(), shape.end(), int64_t{1},
                                        std::multiplies<>());
  return {std::move(shape),
          std::vector<float>(static_cast<size_t>(count), value)};
}

}  // namespace promptd::testing

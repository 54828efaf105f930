// A dense float32 array with a shape, for doors that must not know torch.
#pragma once

#include <cstdint>
#include <vector>

namespace promptd {

// Row-major; values.size() equals the product of shape.
struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

}  // namespace promptd

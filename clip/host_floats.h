// Numbers of a tensor as plain values.
#pragma once

#include <ATen/core/Tensor.h>

#include "common/float_tensor.h"

namespace promptd::clip {

// A copy of a float32 tensor of any device; waits for that. Throws c10::Error.
FloatTensor ToFloatTensor(const at::Tensor& tensor);

}  // namespace promptd::clip

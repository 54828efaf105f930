// Between torch tensors and what crosses the rooms' doors. Copies; values go
// to and from the device of `like`.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "common/float_tensor.h"

namespace promptd::learners {

at::Tensor ToTensor(const FloatTensor& values, const at::Tensor& like);
at::Tensor ToIndexTensor(const std::vector<int64_t>& indexes,
                         const at::Tensor& like);
at::Tensor ToLabelTensor(const std::vector<int>& labels,
                         const at::Tensor& like);
FloatTensor ToFloatTensor(const at::Tensor& tensor);

}  // namespace promptd::learners

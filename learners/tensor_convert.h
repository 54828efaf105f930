// Torch tensors of what crosses the rooms' doors: copies on the device of
// `like`. The way back is clip/host_floats.h.
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

}  // namespace promptd::learners

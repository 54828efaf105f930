// How far tensors of torch are from each other.
#pragma once

#include <ATen/core/Tensor.h>

namespace promptd::clip {

// Largest absolute difference over the largest absolute value of `b`.
inline double RelativeError(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor exact = b.to(at::kDouble);
  const at::Tensor difference = a.to(at::kDouble).sub(exact);
  return difference.abs().max().div(exact.abs().max()).item().toDouble();
}

}  // namespace promptd::clip

// A linear layer whose weights never change, packed once for this processor.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace promptd::clip {

// y = x W^T + b, and dx = dy W for the backward of a frozen layer; both
// directions run on weights that are pre-packed at construction. fp32 on the
// CPU. Immutable and thread-safe; callers hold a no-grad guard.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  // weight [out, in], bias [out] or undefined; both float32, contiguous.
  FrozenLinear(const at::Tensor& weight, const at::Tensor& bias);

  // x [rows, in] -> [rows, out].
  at::Tensor Forward(const at::Tensor& x) const;
  // dy [rows, out] -> [rows, in].
  at::Tensor InputGradient(const at::Tensor& dy) const;

  int64_t in_features() const { return in_; }
  int64_t out_features() const { return out_; }

 private:
  int64_t in_ = 0;
  int64_t out_ = 0;
  at::Tensor bias_;
  at::Tensor forward_packed_;   // mkldnn layout of W
  at::Tensor backward_packed_;  // mkldnn layout of W^T; made on first need
};

}  // namespace promptd::clip

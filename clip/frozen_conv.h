// A convolution with its batch norm, both frozen, packed for this processor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace promptd::clip {

// The statistics and affine part of a batch norm in evaluation mode, [out].
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var;
};

// norm(conv(x)), square kernel, no bias of its own. The norm is folded into
// the kernel in double precision; the kernel lies in oneDNN's blocked layout
// where that exists (CPU), and the activation and the sum run inside the
// convolution. Inputs and outputs have the layer's type, float32 or bfloat16.
// Immutable; callers hold a no-grad guard.
class FrozenConv {
 public:
  struct Geometry {
    int64_t stride = 1;
    int64_t padding = 0;
    int64_t input_side = 0;  // pixels; the layout is chosen for it
  };

  FrozenConv() = default;
  // kernel [out, in, k, k]; float32, rounded to `type`.
  FrozenConv(const at::Tensor& kernel, const BatchNorm& norm, Geometry geometry,
             at::ScalarType type = at::kFloat);

  // x [B, in, h, w] -> [B, out, h', w'].
  at::Tensor Forward(const at::Tensor& x) const;
  // relu of Forward.
  at::Tensor ForwardRelu(const at::Tensor& x) const;
  // relu(Forward(x) + residual); residual has Forward's shape.
  at::Tensor ForwardAddRelu(const at::Tensor& x,
                            const at::Tensor& residual) const;

  // Multiply-adds of one image.
  int64_t multiply_adds() const { return multiply_adds_; }

 private:
  at::Tensor Run(const at::Tensor& x, bool relu) const;

  Geometry geometry_;
  bool packed_ = false;
  int64_t multiply_adds_ = 0;
  at::Tensor kernel_;  // blocked when packed_
  at::Tensor bias_;    // [out]
};

}  // namespace promptd::clip

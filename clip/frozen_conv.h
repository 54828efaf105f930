// A convolution with its batch norm, both frozen, packed for this processor.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>

#include "clip/frozen_linear.h"

namespace promptd::clip {

// The statistics and affine part of a batch norm in evaluation mode, [out].
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var;
};

// norm(conv(x)), square kernel, no bias of its own. The norm is folded into
// the kernel in double precision. A kernel of one pixel is a linear layer on
// every place; larger ones lie in oneDNN's blocked layout where that exists
// (on the processor), and the activation runs inside the convolution. Inputs
// and outputs have the layer's type, float32 or bfloat16. Immutable; callers
// hold a no-grad guard.
class FrozenConv {
 public:
  struct Geometry {
    int64_t stride = 1;  // 1 for a kernel of one pixel
    int64_t padding = 0;
    int64_t input_side = 0;  // pixels; the layout is chosen for it
  };

  FrozenConv() = default;
  // kernel [out, in, k, k]; float32, copied to the type and device of
  // `options`, which inputs must have too.
  FrozenConv(const at::Tensor& kernel, const BatchNorm& norm, Geometry geometry,
             const at::TensorOptions& options = at::kFloat);

  // x [B, in, h, w] -> [B, out, h', w'], channels last in memory.
  at::Tensor Forward(const at::Tensor& x) const {
    return Run(x, Activation::kNone);
  }
  // relu of Forward.
  at::Tensor ForwardRelu(const at::Tensor& x) const {
    return Run(x, Activation::kRelu);
  }

  // Multiply-adds of one image.
  int64_t multiply_adds() const { return multiply_adds_; }

 private:
  // activation: kNone or kRelu.
  at::Tensor Run(const at::Tensor& x, Activation activation) const;
  at::Tensor RunPlaces(const at::Tensor& x, Activation activation) const;

  Geometry geometry_;
  int64_t multiply_adds_ = 0;
  FrozenLinear places_;  // of a kernel of one pixel, and then all there is
  bool packed_ = false;
  at::Tensor kernel_;  // blocked when packed_
  at::Tensor bias_;    // [out]
};

}  // namespace promptd::clip

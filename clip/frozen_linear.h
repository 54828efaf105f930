// A linear layer whose weights never change, packed once for this processor.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace promptd::clip {

// What a layer is asked for after it was built.
enum class LinearUse {
  // Forward and InputGradient; in float32 the forward sums in blocks of 256
  // inputs, which costs about a seventh of the time and takes away nearly half
  // of the rounding error.
  kInputGradient,
  // Forward alone, summed in one go: the fastest.
  kForwardOnly,
};

enum class Activation { kNone, kRelu, kSilu, kGelu };

// y = x W^T + b, and dx = dy W for the backward of a frozen layer; both
// directions run on weights in oneDNN's blocked layout: W's is made at
// construction, W^T's on the first InputGradient. Where that layout does not
// apply (a CUDA device, a build without oneDNN) the plain operators run.
// Functions throw c10::Error on a shape mismatch. Inputs and outputs have the
// layer's type, float32 or bfloat16, whose products are summed in float32;
// bfloat16 weights lie in float32 where oneDNN computes in it (OneDnnType).
// Immutable and thread-safe; copies share the weights; callers hold a no-grad
// guard.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  // weight [out, in], bias [out] or undefined; float32. They are copied to the
  // type and device of `options`, which inputs must have too.
  FrozenLinear(const at::Tensor& weight, const at::Tensor& bias,
               LinearUse use = LinearUse::kInputGradient,
               const at::TensorOptions& options = at::kFloat);

  // x [rows, in] -> [rows, out].
  at::Tensor Forward(const at::Tensor& x) const {
    return Forward(x, Activation::kNone);
  }
  // The activation of Forward(x), computed inside the layer where that works.
  at::Tensor Forward(const at::Tensor& x, Activation activation) const;
  // dy [rows, out] -> [rows, in]. Not for a kForwardOnly layer.
  at::Tensor InputGradient(const at::Tensor& dy) const;

  int64_t in_features() const { return in_; }
  int64_t out_features() const { return out_; }
  // Whether the blocked layout is in use.
  bool packed() const { return !forward_packed_.empty(); }

 private:
  struct Backward;

  at::Tensor SumOfBlocks(const at::Tensor& x) const;

  int64_t in_ = 0;
  int64_t out_ = 0;
  at::Tensor bias_;    // of the weights' type
  at::Tensor weight_;  // [out, in], kept only where nothing is packed
  // W, blocked; one tensor for each block of inputs that is summed apart.
  std::vector<at::Tensor> forward_packed_;
  int64_t summation_block_ = 0;         // inputs
  std::shared_ptr<Backward> backward_;  // W^T, blocked on first need
};

}  // namespace promptd::clip

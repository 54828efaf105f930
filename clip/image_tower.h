// The image side of a CLIP, whatever its architecture.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace promptd::clip {

// Frozen; gradients never flow into it. Immutable after construction; only
// the device thread computes with it. Letters: B batch, S image side,
// E embedding.
class ImageTower {
 public:
  virtual ~ImageTower() = default;

  // pixels [B, 3, S, S] float32 on any device, RGB, normalised with the
  // encoder's mean and deviation -> features [B, E] float32 on the tower's
  // device, not normalised, whatever type the tower computes in. The caller
  // holds a no-grad guard and has checked the shape; large batches are for the
  // caller to cut. Throws c10::Error.
  virtual at::Tensor Encode(const at::Tensor& pixels) const = 0;

  // The largest tensor between two layers, of one image.
  virtual int64_t activation_bytes() const = 0;

  // Of one image, in convolutions and linear layers.
  virtual int64_t multiply_adds() const = 0;
};

}  // namespace promptd::clip

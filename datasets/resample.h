// Antialiased bicubic resampling of 8-bit RGB in fixed point: the arithmetic
// of Pillow 13's Image.resize(size, BICUBIC), to the last bit (before 13 images
// more than about twice as tall as wide could differ). Only a window of the
// resized image is computed, so a 16384x1 image costs no more than its crop.
// Pure functions, thread-safe.
#pragma once

#include "datasets/image.h"

namespace promptd::datasets {

// A window of a resized image: columns [left, left + width) and rows
// [top, top + height) of an image resized to resized_width x resized_height.
struct ResizedWindow {
  int resized_width = 0;
  int resized_height = 0;
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;
};

// The window of `image` after the resize. Both must be non-empty and the
// window must lie inside the resized image (PROMPTD_CHECK). Without `fast` in
// plain C++ also where the processor could do more at once; the same bytes.
RgbImage ResampleBicubic(const RgbImage& image, const ResizedWindow& window,
                         bool fast = true);

}  // namespace promptd::datasets

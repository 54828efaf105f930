// Image bytes to the float tensor that CLIP's image tower takes, by CLIP's
// own recipe: RGB, shorter side resized to `size` (PIL's antialiased bicubic),
// centre crop, divide by 255, subtract the mean, divide by the deviation.
//
//   ASSIGN_OR_RETURN(std::vector<float> pixels,
//                    PreprocessImage(bytes, {.size = 224}));
//
// Pure functions, thread-safe: a decode pool calls them from many threads.
// Peak memory of a call is about 3 bytes a pixel of the decoded image, at most
// 150 MB with the default limits.
#pragma once

#include <array>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/image.h"
#include "datasets/resample.h"

namespace promptd::datasets {

struct PreprocessOptions {
  int size = 224;  // side of the square the tower takes, S; positive
  std::array<float, 3> mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::array<float, 3> std = {0.26862954f, 0.26130258f, 0.27577711f};
  ImageLimits limits = {};
};

// [3, S, S] float32, RGB planes, row-major. Errors: DecodeImage's.
absl::StatusOr<std::vector<float>> PreprocessImage(
    absl::string_view encoded, const PreprocessOptions& options);

// The steps, for tests and tools.

// torchvision's Resize(size) and CenterCrop(size) as one window: the longer
// side becomes floor(size * longer / shorter); the crop starts at half the
// excess, halves rounded to even.
ResizedWindow CenterWindow(int width, int height, int size);

// [3, H, W] of a [H, W, 3] image.
std::vector<float> NormalizePixels(const RgbImage& image,
                                   const PreprocessOptions& options);

}  // namespace promptd::datasets

// Random views of a training image: CoOp's train transform, which is
// torchvision's RandomResizedCrop(size, scale=(0.08, 1), ratio=(3/4, 4/3),
// bicubic) and RandomHorizontalFlip(0.5) on a PIL image.
//
//   const RandomView view = DrawView(item.digest, 3, image.width,
//   image.height); const RgbImage square = RenderView(image, view, 224);
//
// View v of an image follows from the image's bytes and v alone, so jobs of
// different seeds see the same views and can share what was made of them. Pure
// functions, thread-safe.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/image.h"
#include "datasets/preprocess.h"

namespace promptd::datasets {

struct RandomView {
  // The crop, inside the image: columns [left, left + width), rows [top, top +
  // height).
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;
  bool flip = false;  // left and right change places

  friend bool operator==(const RandomView&, const RandomView&) = default;
};

// View number `view` (0 or more) of an image of width x height pixels, both
// positive; `digest` names its encoded bytes. The crop is drawn as torchvision
// 0.28's RandomResizedCrop.get_params draws it (ten tries, then the largest
// centred crop of an allowed ratio), the flip after it; the draws come from
// Random(first 64 bits of SHA-256("promptd view 1\n<digest>\n<view>\n")).
RandomView DrawView(absl::string_view digest, int view, int width, int height);

// The crop, resized to size x size as PIL does it (the filter sees nothing
// outside of the crop), then flipped. The view must lie inside the image
// (PROMPTD_CHECK).
RgbImage RenderView(const RgbImage& image, const RandomView& view, int size);

// [3, S, S] float32 as PreprocessImage's, of a random view. `digest` is that of
// `encoded`. Errors: DecodeImage's.
absl::StatusOr<std::vector<float>> PreprocessView(
    absl::string_view encoded, absl::string_view digest, int view,
    const PreprocessOptions& options);

}  // namespace promptd::datasets

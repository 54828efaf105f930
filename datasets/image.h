// Encoded image bytes to RGB pixels, as PIL's Image.open(f).convert("RGB")
// sees them: EXIF orientation is ignored, alpha is dropped (not composited),
// palettes are resolved, grey is repeated.
//
// Equal to Pillow 13.0.0 bit for bit on PNG and lossless WebP, and within one
// level on 99.9 % of the pixels of JPEG and lossy WebP. That version cuts
// 16-bit grey off at 255 (so most of it is white), and keeps the high byte of
// 16-bit colour; it takes CMYK JPEGs as inverted, as Adobe writes them, with
// Adobe's marker and without. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/image_format.h"

namespace promptd::datasets {

// Rows from the top, pixels from the left, R G B; rgb.size() is
// width * height * 3.
struct RgbImage {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;
};

// Passes ReadImageHeader's door, then decodes.
// Its errors, and INVALID_ARGUMENT (IMAGE_UNDECODABLE) when the decoder gives
// up or makes another size than the header said; RESOURCE_EXHAUSTED
// (OUT_OF_MEMORY).
absl::StatusOr<RgbImage> DecodeImage(absl::string_view encoded,
                                     const ImageLimits& limits = {});

}  // namespace promptd::datasets

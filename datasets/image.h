// Encoded image bytes to RGB pixels, as PIL's Image.open(f).convert("RGB")
// sees them: EXIF orientation is ignored, alpha is dropped (not composited),
// palettes are resolved, grey is repeated.
//
// Equal to PIL bit for bit on PNG and lossless WebP; 16-bit PNG keeps the high
// byte, as PIL does for colour (for 16-bit grey PIL's result depends on its
// version). JPEG and lossy WebP agree to within the decoders' rounding. CMYK
// JPEG is taken as Adobe's inverted form, which is what programs write.
// Pure functions, thread-safe.
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

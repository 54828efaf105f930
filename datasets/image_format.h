// The door that image bytes pass before any decoder sees them: only JPEG, PNG
// and WebP, told by their magic bytes, with the header read here, within
// limits, and complete. Costs one walk over the file's structure and no
// memory; nothing is decoded. Pure functions, thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::datasets {

enum class ImageFormat { kJpeg, kPng, kWebp };

// "JPEG", "PNG" or "WebP".
absl::string_view ImageFormatName(ImageFormat format);

struct ImageLimits {
  int64_t max_bytes = 10 << 20;     // encoded
  int max_side = 16384;             // width and height, each
  int64_t max_pixels = 50'000'000;  // width x height
  int max_jpeg_scans = 100;         // progressive JPEGs have about 10
};

// Samples that are decoded in their own way.
enum class ImageSamples {
  kUsual,
  kGrey16,  // PNG, one channel of 16 bits
  kCmyk,    // JPEG, four components
};

struct ImageHeader {
  ImageFormat format = ImageFormat::kJpeg;
  int width = 0;
  int height = 0;
  ImageSamples samples = ImageSamples::kUsual;
};

// The header of one complete still image. The dimensions are held against the
// limits before anything after them is looked at, so a bomb costs nothing.
// INVALID_ARGUMENT with the reason
//   IMAGE_EMPTY           no bytes;
//   IMAGE_TOO_LARGE       more bytes, pixels, scans or a longer side than the
//                         limits;
//   IMAGE_UNKNOWN_FORMAT  the first bytes are none of the three formats';
//   IMAGE_TRUNCATED       the file ends before the image does;
//   IMAGE_ANIMATED        a WebP animation;
//   IMAGE_UNDECODABLE     damaged, or a variant that is not supported.
absl::StatusOr<ImageHeader> ReadImageHeader(absl::string_view encoded,
                                            const ImageLimits& limits = {});

}  // namespace promptd::datasets

#include "datasets/image_format.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

constexpr absl::string_view kJpegMagic("\xff\xd8\xff", 3);
constexpr absl::string_view kPngMagic("\x89PNG\r\n\x1a\n", 8);
constexpr absl::string_view kRiffMagic("RIFF", 4);
constexpr absl::string_view kWebpMagic("WEBP", 4);

absl::Status ImageError(absl::string_view reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, message);
}

bool IsWebp(absl::string_view bytes) {
  return absl::StartsWith(bytes, kRiffMagic) &&
         absl::StartsWith(bytes.substr(std::min<size_t>(8, bytes.size())),
                          kWebpMagic);
}

// Whether `bytes` is a proper beginning of one of the magics.
bool IsCutMagic(absl::string_view bytes) {
  return absl::StartsWith(kJpegMagic, bytes) ||
         absl::StartsWith(kPngMagic, bytes) ||
         absl::StartsWith(kRiffMagic, bytes) ||
         (absl::StartsWith(bytes, kRiffMagic) &&
          (bytes.size() < 8 || absl::StartsWith(kWebpMagic, bytes.substr(8))));
}

}  // namespace

absl::string_view ImageFormatName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
  }
  return "image";
}

absl::Status TruncatedImage(ImageFormat format) {
  return ImageError(
      "IMAGE_TRUNCATED",
      absl::StrCat("the ", ImageFormatName(format),
                   " file ends before its image does: copy it again"));
}

absl::Status UndecodableImage(ImageFormat format, absl::string_view what) {
  return ImageError(
      "IMAGE_UNDECODABLE",
      absl::StrCat("the ", ImageFormatName(format), " file cannot be decoded (",
                   what, "): save the image again, as PNG or JPEG"));
}

absl::Status CheckDimensions(int64_t width, int64_t height,
                             const ImageLimits& limits) {
  if (width <= 0 || height <= 0) {
    return ImageError("IMAGE_UNDECODABLE",
                      absl::StrCat("the header says ", width, "x", height,
                                   " pixels: save the image again"));
  }
  if (width > limits.max_side || height > limits.max_side ||
      width * height > limits.max_pixels) {
    return ImageError("IMAGE_TOO_LARGE",
                      absl::StrCat("the header says ", width, "x", height,
                                   " pixels; the limits are ", limits.max_side,
                                   " a side and ", limits.max_pixels,
                                   " in all: scale the image down"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageHeader> ReadImageHeader(absl::string_view encoded,
                                            const ImageLimits& limits) {
  if (encoded.empty()) {
    return ImageError("IMAGE_EMPTY", "the image has no bytes: copy it again");
  }
  if (static_cast<int64_t>(encoded.size()) > limits.max_bytes) {
    return ImageError(
        "IMAGE_TOO_LARGE",
        absl::StrCat("the image has ", encoded.size(), " bytes; the limit is ",
                     limits.max_bytes, ": scale it down or compress it more"));
  }
  if (absl::StartsWith(encoded, kJpegMagic)) return WalkJpeg(encoded, limits);
  if (absl::StartsWith(encoded, kPngMagic)) return WalkPng(encoded, limits);
  if (IsWebp(encoded)) return WalkWebp(encoded, limits);
  if (IsCutMagic(encoded)) {
    return ImageError("IMAGE_TRUNCATED",
                      "the file ends inside its first bytes: copy it again");
  }
  return ImageError("IMAGE_UNKNOWN_FORMAT",
                    "the bytes are not a JPEG, PNG or WebP image: convert the "
                    "file to one of these");
}

}  // namespace promptd::datasets

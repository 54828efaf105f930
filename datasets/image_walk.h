// The structure walks behind datasets/image_format.h, one a format. Each gets
// bytes whose magic has been recognised. Private to this room.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/image_format.h"

namespace promptd::datasets {

absl::StatusOr<ImageHeader> WalkJpeg(absl::string_view bytes,
                                     const ImageLimits& limits);
absl::StatusOr<ImageHeader> WalkPng(absl::string_view bytes,
                                    const ImageLimits& limits);
absl::StatusOr<ImageHeader> WalkWebp(absl::string_view bytes,
                                     const ImageLimits& limits);

// OK when the dimensions are positive and within the limits.
absl::Status CheckDimensions(int64_t width, int64_t height,
                             const ImageLimits& limits);

// INVALID_ARGUMENT (IMAGE_TRUNCATED) and (IMAGE_UNDECODABLE).
absl::Status TruncatedImage(ImageFormat format);
absl::Status UndecodableImage(ImageFormat format, absl::string_view what);

inline uint32_t ByteAt(absl::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}
inline uint32_t BigEndian16(absl::string_view bytes, size_t at) {
  return ByteAt(bytes, at) << 8 | ByteAt(bytes, at + 1);
}
inline uint32_t BigEndian32(absl::string_view bytes, size_t at) {
  return BigEndian16(bytes, at) << 16 | BigEndian16(bytes, at + 2);
}
inline uint32_t LittleEndian16(absl::string_view bytes, size_t at) {
  return ByteAt(bytes, at) | ByteAt(bytes, at + 1) << 8;
}
inline uint32_t LittleEndian24(absl::string_view bytes, size_t at) {
  return LittleEndian16(bytes, at) | ByteAt(bytes, at + 2) << 16;
}
inline uint32_t LittleEndian32(absl::string_view bytes, size_t at) {
  return LittleEndian16(bytes, at) | LittleEndian16(bytes, at + 2) << 16;
}

}  // namespace promptd::datasets

// WebP: a RIFF container whose first chunk is "VP8 " (lossy, RFC 6386), "VP8L"
// (lossless) or "VP8X" (canvas size and flags, the image in a later chunk).
// Sizes are little-endian; odd chunks are padded by one byte.
#include <algorithm>

#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

constexpr size_t kRiffHeaderBytes = 12;
constexpr size_t kChunkHeaderBytes = 8;
constexpr size_t kMaxReadBytes = 10;  // of a chunk's body, by ReadChunk
constexpr uint32_t kAnimationFlag = 0x02;

struct Dimensions {
  int64_t width = 0;
  int64_t height = 0;
};

absl::Status Damaged(absl::string_view what) {
  return UndecodableImage(ImageFormat::kWebp, what);
}

absl::Status Animated() {
  return MakeError(absl::StatusCode::kInvalidArgument, "IMAGE_ANIMATED",
                   "the WebP is an animation: save one frame of it");
}

// A key frame: 3 bytes of tag, 3 of start code, 14 bits of width, of height.
absl::StatusOr<Dimensions> ReadLossy(absl::string_view body) {
  if (body.size() < 10) return Damaged("short VP8 header");
  if ((ByteAt(body, 0) & 1) != 0 ||
      body.substr(3, 3) != absl::string_view("\x9d\x01\x2a", 3)) {
    return Damaged("no VP8 key frame");
  }
  return Dimensions{LittleEndian16(body, 6) & 0x3fff,
                    LittleEndian16(body, 8) & 0x3fff};
}

// 0x2f, then 14 bits of width - 1 and 14 of height - 1.
absl::StatusOr<Dimensions> ReadLossless(absl::string_view body) {
  if (body.size() < 5) return Damaged("short VP8L header");
  if (ByteAt(body, 0) != 0x2f) return Damaged("no VP8L signature");
  const uint32_t bits = LittleEndian32(body, 1);
  return Dimensions{(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1};
}

// Flags, 3 reserved bytes, 24 bits of width - 1 and 24 of height - 1.
absl::StatusOr<Dimensions> ReadExtended(absl::string_view body) {
  if (body.size() < 10) return Damaged("short VP8X header");
  if ((ByteAt(body, 0) & kAnimationFlag) != 0) return Animated();
  return Dimensions{LittleEndian24(body, 4) + 1, LittleEndian24(body, 7) + 1};
}

bool IsImageChunk(absl::string_view type) {
  return type == "VP8 " || type == "VP8L";
}

// Dimensions said by a chunk that says some; {0, 0} for others.
absl::StatusOr<Dimensions> ReadChunk(absl::string_view type,
                                     absl::string_view body) {
  if (type == "VP8 ") return ReadLossy(body);
  if (type == "VP8L") return ReadLossless(body);
  if (type == "VP8X") return ReadExtended(body);
  if (type == "ANIM" || type == "ANMF") return Animated();
  return Dimensions{};
}

}  // namespace

absl::StatusOr<ImageHeader> WalkWebp(absl::string_view bytes,
                                     const ImageLimits& limits) {
  const size_t end = size_t{8} + LittleEndian32(bytes, 4);
  Dimensions size;
  size_t at = kRiffHeaderBytes;
  while (at + kChunkHeaderBytes <= end) {
    if (bytes.size() < at + kChunkHeaderBytes) {
      return TruncatedImage(ImageFormat::kWebp);
    }
    const absl::string_view type = bytes.substr(at, 4);
    const size_t length = LittleEndian32(bytes, at + 4);
    const absl::string_view body = bytes.substr(at + kChunkHeaderBytes, length);
    if (length > end - at - kChunkHeaderBytes) return Damaged("bad length");
    if (body.size() < std::min(length, kMaxReadBytes)) {
      return TruncatedImage(ImageFormat::kWebp);
    }
    ASSIGN_OR_RETURN(const Dimensions said, ReadChunk(type, body));
    if (at == kRiffHeaderBytes) {
      if (said.width == 0) return Damaged("no image in its first chunk");
      RETURN_IF_ERROR(CheckDimensions(said.width, said.height, limits));
      size = said;
    } else if (said.width != 0 &&
               (said.width != size.width || said.height != size.height)) {
      return Damaged("image and canvas differ in size");
    }
    if (body.size() < length || bytes.size() < end) {
      return TruncatedImage(ImageFormat::kWebp);
    }
    if (IsImageChunk(type)) {
      return ImageHeader{ImageFormat::kWebp, static_cast<int>(size.width),
                         static_cast<int>(size.height)};
    }
    at += kChunkHeaderBytes + length + (length & 1);
  }
  return Damaged("no image in it");
}

}  // namespace promptd::datasets

// JPEG, ITU-T T.81 annex B: markers, each 0xFF and a code, most followed by a
// 16-bit length that counts itself; after a start-of-scan segment comes
// entropy-coded data, in which 0xFF stands only before 0x00 or a restart
// marker. A decoder fills a missing end with grey, so the walk goes on to the
// end-of-image marker.
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

constexpr uint32_t kTemporary = 0x01;
constexpr uint32_t kBaseline = 0xc0;
constexpr uint32_t kExtended = 0xc1;
constexpr uint32_t kProgressive = 0xc2;
constexpr uint32_t kHuffmanTables = 0xc4;
constexpr uint32_t kReserved = 0xc8;
constexpr uint32_t kArithmeticTables = 0xcc;
constexpr uint32_t kFirstRestart = 0xd0;
constexpr uint32_t kStartOfImage = 0xd8;
constexpr uint32_t kEndOfImage = 0xd9;
constexpr uint32_t kStartOfScan = 0xda;

bool IsFrameHeader(uint32_t marker) {
  return marker >= kBaseline && marker <= 0xcf && marker != kHuffmanTables &&
         marker != kReserved && marker != kArithmeticTables;
}

bool IsRestart(uint32_t marker) {
  return marker >= kFirstRestart && marker < kStartOfImage;
}

// `segment` starts at its length field.
absl::StatusOr<ImageHeader> ReadFrameHeader(uint32_t marker,
                                            absl::string_view segment,
                                            const ImageLimits& limits) {
  if (segment.size() < 8) {
    return UndecodableImage(ImageFormat::kJpeg, "short frame header");
  }
  ImageHeader header{ImageFormat::kJpeg,
                     static_cast<int>(BigEndian16(segment, 5)),
                     static_cast<int>(BigEndian16(segment, 3))};
  RETURN_IF_ERROR(CheckDimensions(header.width, header.height, limits));
  const uint32_t components = ByteAt(segment, 7);
  if (marker != kBaseline && marker != kExtended && marker != kProgressive) {
    return UndecodableImage(ImageFormat::kJpeg,
                            "lossless or arithmetic coding");
  }
  if (ByteAt(segment, 2) != 8) {
    return UndecodableImage(ImageFormat::kJpeg, "not 8 bits a sample");
  }
  if (components != 1 && components != 3 && components != 4) {
    return UndecodableImage(ImageFormat::kJpeg,
                            absl::StrCat(components, " colour components"));
  }
  if (components == 4) header.samples = ImageSamples::kCmyk;
  return header;
}

// The position of the marker that ends the entropy-coded data at `at`.
absl::StatusOr<size_t> SkipEntropyCodedData(absl::string_view bytes,
                                            size_t at) {
  while (true) {
    at = bytes.find('\xff', at);
    if (at == absl::string_view::npos || at + 1 >= bytes.size()) {
      return TruncatedImage(ImageFormat::kJpeg);
    }
    const uint32_t code = ByteAt(bytes, at + 1);
    if (code == 0xff) {
      at += 1;
    } else if (code == 0x00 || IsRestart(code)) {
      at += 2;
    } else {
      return at;
    }
  }
}

}  // namespace

absl::StatusOr<ImageHeader> WalkJpeg(absl::string_view bytes,
                                     const ImageLimits& limits) {
  ImageHeader header;
  int scans = 0;
  size_t at = 2;
  while (true) {
    if (at + 1 >= bytes.size()) return TruncatedImage(ImageFormat::kJpeg);
    if (ByteAt(bytes, at) != 0xff) {
      return UndecodableImage(ImageFormat::kJpeg,
                              "no marker where one must be");
    }
    const uint32_t marker = ByteAt(bytes, at + 1);
    if (marker == 0xff) {  // a fill byte
      at += 1;
      continue;
    }
    at += 2;
    if (marker == kEndOfImage) break;
    if (marker == kTemporary || IsRestart(marker)) continue;
    if (marker == 0x00 || marker == kStartOfImage) {
      return UndecodableImage(ImageFormat::kJpeg, "marker out of place");
    }
    if (at + 1 >= bytes.size()) return TruncatedImage(ImageFormat::kJpeg);
    const size_t length = BigEndian16(bytes, at);
    if (length < 2) return UndecodableImage(ImageFormat::kJpeg, "bad length");
    if (length > bytes.size() - at) return TruncatedImage(ImageFormat::kJpeg);
    if (IsFrameHeader(marker)) {
      if (header.width != 0) {
        return UndecodableImage(ImageFormat::kJpeg, "two frames");
      }
      ASSIGN_OR_RETURN(
          header, ReadFrameHeader(marker, bytes.substr(at, length), limits));
    }
    at += length;
    if (marker == kStartOfScan) {
      if (++scans > limits.max_jpeg_scans) {
        return MakeError(
            absl::StatusCode::kInvalidArgument, "IMAGE_TOO_LARGE",
            absl::StrCat("the JPEG has more than ", limits.max_jpeg_scans,
                         " scans: save the image again"));
      }
      ASSIGN_OR_RETURN(at, SkipEntropyCodedData(bytes, at));
    }
  }
  if (header.width == 0 || scans == 0) {
    return UndecodableImage(ImageFormat::kJpeg, "no image in it");
  }
  return header;
}

}  // namespace promptd::datasets

// PNG (ISO/IEC 15948): after the signature, chunks of length, type, that many
// bytes and a CRC-32 of type and bytes; IHDR first, IEND last.
#include "common/status_macros.h"
#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr uint32_t kHeaderBytes = 13;
constexpr uint32_t kGrey = 0;  // colour type

uint32_t Crc32(absl::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
  }
  return ~crc;
}

absl::StatusOr<ImageHeader> ReadHeaderChunk(absl::string_view bytes,
                                            const ImageLimits& limits) {
  if (bytes.size() < kSignatureBytes + kChunkOverhead + kHeaderBytes) {
    return TruncatedImage(ImageFormat::kPng);
  }
  const absl::string_view type_and_body =
      bytes.substr(kSignatureBytes + 4, 4 + kHeaderBytes);
  if (BigEndian32(bytes, kSignatureBytes) != kHeaderBytes ||
      type_and_body.substr(0, 4) != "IHDR" ||
      BigEndian32(bytes, kSignatureBytes + 8 + kHeaderBytes) !=
          Crc32(type_and_body)) {
    return UndecodableImage(ImageFormat::kPng, "damaged header");
  }
  const int64_t width = BigEndian32(type_and_body, 4);
  const int64_t height = BigEndian32(type_and_body, 8);
  RETURN_IF_ERROR(CheckDimensions(width, height, limits));
  const bool grey16 =
      ByteAt(type_and_body, 12) == 16 && ByteAt(type_and_body, 13) == kGrey;
  return ImageHeader{ImageFormat::kPng, static_cast<int>(width),
                     static_cast<int>(height),
                     grey16 ? ImageSamples::kGrey16 : ImageSamples::kUsual};
}

}  // namespace

absl::StatusOr<ImageHeader> WalkPng(absl::string_view bytes,
                                    const ImageLimits& limits) {
  ASSIGN_OR_RETURN(const ImageHeader header, ReadHeaderChunk(bytes, limits));
  bool has_pixels = false;
  size_t at = kSignatureBytes;
  while (true) {
    if (bytes.size() - at < kChunkOverhead) {
      return TruncatedImage(ImageFormat::kPng);
    }
    const size_t length = BigEndian32(bytes, at);
    if (length > bytes.size() - at - kChunkOverhead) {
      return TruncatedImage(ImageFormat::kPng);
    }
    const absl::string_view type = bytes.substr(at + 4, 4);
    if (type == "IDAT") has_pixels = true;
    if (type == "IEND") break;
    at += kChunkOverhead + length;
  }
  if (!has_pixels) {
    return UndecodableImage(ImageFormat::kPng, "no pixels in it");
  }
  return header;
}

}  // namespace promptd::datasets

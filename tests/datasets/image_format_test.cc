#include "datasets/image_format.h"

#include <algorithm>
#include <string>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

std::string Golden(const std::string& name) {
  for (const GoldenImage& image : GoldenImages()) {
    if (image.name == name) return image.encoded;
  }
  ADD_FAILURE() << "no golden image " << name;
  return "";
}

std::string Reason(absl::string_view bytes, const ImageLimits& limits = {}) {
  const auto header = ReadImageHeader(bytes, limits);
  if (header.ok()) return "OK";
  EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
  return ErrorReason(header.status());
}

// A PNG of which only the header is there; its CRC is of that header.
std::string PngHeader(absl::string_view width, absl::string_view height,
                      absl::string_view crc) {
  std::string bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  bytes.append(width.data(), width.size());
  bytes.append(height.data(), height.size());
  bytes.append("\x08\x02\0\0\0", 5);
  bytes.append(crc.data(), crc.size());
  return bytes;
}

TEST(ImageFormatTest, ReadsTheHeaderOfEveryGoldenImage) {
  for (const GoldenImage& golden : GoldenImages()) {
    SCOPED_TRACE(golden.name);
    const auto header = ReadImageHeader(golden.encoded);
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(header->width, golden.width);
    EXPECT_EQ(header->height, golden.height);
    EXPECT_EQ(golden.name.substr(golden.name.rfind('.') + 1),
              header->format == ImageFormat::kJpeg  ? "jpeg"
              : header->format == ImageFormat::kPng ? "png"
                                                    : "webp");
  }
}

// Whatever the cut, the file is refused, and never as something unknown.
TEST(ImageFormatTest, EveryCutOfEveryGoldenImageIsTruncated) {
  for (const GoldenImage& golden : GoldenImages()) {
    SCOPED_TRACE(golden.name);
    const size_t step = 1 + golden.encoded.size() / 200;
    for (size_t size = 1; size < golden.encoded.size(); size += step) {
      const auto cut = absl::string_view(golden.encoded).substr(0, size);
      ASSERT_EQ(Reason(cut), "IMAGE_TRUNCATED") << size << " bytes";
    }
    const auto but_one =
        absl::string_view(golden.encoded).substr(0, golden.encoded.size() - 1);
    EXPECT_EQ(Reason(but_one), "IMAGE_TRUNCATED");
  }
}

TEST(ImageFormatTest, BytesAfterTheImageAreNotItsConcern) {
  EXPECT_EQ(Reason(Golden("jpeg_420.jpeg") + "trailer"), "OK");
}

TEST(ImageFormatTest, NoBytesAndOtherFilesAreNamed) {
  EXPECT_EQ(Reason(""), "IMAGE_EMPTY");
  EXPECT_EQ(Reason("hello"), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(Reason("GIF89a and so on"), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(Reason(absl::string_view("RIFF\x10\0\0\0WAVEfmt ", 16)),
            "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(Reason(absl::string_view("RIFF\x10\0\0\0WA", 10)),
            "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(Reason(absl::string_view("\x89PN", 3)), "IMAGE_TRUNCATED");
}

TEST(ImageFormatTest, A20000x20000PngHeaderIsTooLarge) {
  const std::string header =
      PngHeader(absl::string_view("\0\0\x4e\x20", 4),
                absl::string_view("\0\0\x4e\x20", 4), "\x6c\x12\xd1\x6e");
  EXPECT_EQ(Reason(header), "IMAGE_TOO_LARGE");
}

TEST(ImageFormatTest, ADamagedPngHeaderIsNotBelieved) {
  const std::string header =
      PngHeader(absl::string_view("\0\0\x4e\x20", 4),
                absl::string_view("\0\0\x4e\x20", 4), "\x6c\x12\xd1\x6f");
  EXPECT_EQ(Reason(header), "IMAGE_UNDECODABLE");
}

TEST(ImageFormatTest, LimitsOnBytesSidePixelsAndScans) {
  const std::string png = Golden("png_64x48_to_32.png");
  EXPECT_EQ(Reason(png, {.max_bytes = 100}), "IMAGE_TOO_LARGE");
  EXPECT_EQ(Reason(png, {.max_side = 63}), "IMAGE_TOO_LARGE");
  EXPECT_EQ(Reason(png, {.max_side = 64}), "OK");
  EXPECT_EQ(Reason(png, {.max_pixels = 64 * 48 - 1}), "IMAGE_TOO_LARGE");
  EXPECT_EQ(Reason(png, {.max_pixels = 64 * 48}), "OK");
  const std::string progressive = Golden("jpeg_progressive.jpeg");
  EXPECT_EQ(Reason(progressive, {.max_jpeg_scans = 3}), "IMAGE_TOO_LARGE");
}

TEST(ImageFormatTest, AZeroSideIsRefused) {
  std::string jpeg = Golden("jpeg_420.jpeg");
  const size_t frame = jpeg.find(std::string("\xff\xc0\x00\x11", 4));
  ASSERT_NE(frame, std::string::npos);
  jpeg[frame + 5] = jpeg[frame + 6] = 0;  // height
  EXPECT_EQ(Reason(jpeg), "IMAGE_UNDECODABLE");
}

TEST(ImageFormatTest, AnAnimatedWebpIsRefused) {
  std::string webp = Golden("webp_lossy_alpha.webp");
  ASSERT_EQ(webp.substr(12, 4), "VP8X");
  webp[20] = static_cast<char>(webp[20] | 0x02);
  EXPECT_EQ(Reason(webp), "IMAGE_ANIMATED");
}

TEST(ImageFormatTest, AWebpWhoseCanvasLiesIsRefused) {
  std::string webp = Golden("webp_lossy_alpha.webp");
  webp[24] = static_cast<char>(webp[24] + 1);
  EXPECT_EQ(Reason(webp), "IMAGE_UNDECODABLE");
}

// Any byte may be anything: the walk ends with an answer.
TEST(ImageFormatTest, DamagedBytesNeverRunAway) {
  for (const char* name : {"jpeg_progressive.jpeg", "png_2x3_to_32.png",
                           "webp_lossy_alpha.webp", "webp_lossless.webp"}) {
    const std::string original = Golden(name);
    for (size_t at = 0; at < std::min<size_t>(original.size(), 700); ++at) {
      for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
        std::string bytes = original;
        bytes[at] = static_cast<char>(value);
        const auto header = ReadImageHeader(bytes);
        if (header.ok()) {
          EXPECT_LE(int64_t{header->width} * header->height, 50'000'000);
        }
      }
    }
  }
}

}  // namespace
}  // namespace promptd::datasets

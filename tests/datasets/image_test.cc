#include "datasets/image.h"

#include <cstdlib>

#include "common/error.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

using testing::Bytes;
using testing::GoldenImage;
using testing::GoldenImages;

// How many of Pillow's samples differ by more than one level, in [0, 1].
double ShareOff(const RgbImage& image, const std::string& golden) {
  size_t off = 0;
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    if (std::abs(image.rgb[i] - static_cast<uint8_t>(golden[i])) > 1) ++off;
  }
  return static_cast<double>(off) / static_cast<double>(image.rgb.size());
}

TEST(DecodeImageTest, LosslessImagesEqualPillowBitForBit) {
  int compared = 0;
  for (const GoldenImage& golden : GoldenImages()) {
    if (golden.lossy) continue;
    SCOPED_TRACE(golden.name);
    const auto image = DecodeImage(golden.encoded);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->width, golden.width);
    EXPECT_EQ(image->height, golden.height);
    EXPECT_EQ(Sha256Hex(Bytes(image->rgb)), golden.decoded_sha256);
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST(DecodeImageTest, LossyImagesEqualPillowWithinOneLevel) {
  int compared = 0;
  for (const GoldenImage& golden : GoldenImages()) {
    if (!golden.lossy) continue;
    SCOPED_TRACE(golden.name);
    const auto image = DecodeImage(golden.encoded);
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_EQ(image->rgb.size(), golden.decoded.size());
    EXPECT_LE(ShareOff(*image, golden.decoded), 0.001);
    ++compared;
  }
  EXPECT_GE(compared, 10);
}

TEST(DecodeImageTest, ExifOrientationIsIgnored) {
  for (const GoldenImage& golden : GoldenImages()) {
    if (golden.name != "jpeg_exif_rotated.jpeg") continue;
    const auto image = DecodeImage(golden.encoded);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_GT(image->width, image->height);
    return;
  }
  FAIL() << "the golden image is missing";
}

TEST(DecodeImageTest, DamageInsideThePixelsIsAnError) {
  for (const GoldenImage& golden : GoldenImages()) {
    if (golden.name != "png_64x48_to_32.png") continue;
    std::string damaged = golden.encoded;
    damaged[damaged.size() / 2] ^= 0x55;
    const auto image = DecodeImage(damaged);
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ErrorReason(image.status()), "IMAGE_UNDECODABLE");
    return;
  }
  FAIL() << "the golden image is missing";
}

TEST(DecodeImageTest, PassesTheDoorFirst) {
  EXPECT_EQ(ErrorReason(DecodeImage("BM not for us").status()),
            "IMAGE_UNKNOWN_FORMAT");
  ImageLimits limits;
  limits.max_pixels = 10;
  EXPECT_EQ(
      ErrorReason(DecodeImage(GoldenImages()[8].encoded, limits).status()),
      "IMAGE_TOO_LARGE");
}

}  // namespace
}  // namespace promptd::datasets

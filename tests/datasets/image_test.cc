#include "datasets/image.h"

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "common/error.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

// How many of Pillow's pixels differ by more than one level, in [0, 1].
double ShareOff(const RgbImage& image, const std::string& golden) {
  const auto off_by = [&](size_t i) {
    return std::abs(image.rgb[i] - static_cast<uint8_t>(golden[i]));
  };
  size_t off = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    if (off_by(i) > 1 || off_by(i + 1) > 1 || off_by(i + 2) > 1) ++off;
  }
  return 3.0 * static_cast<double>(off) / static_cast<double>(golden.size());
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
  EXPECT_GE(compared, 50);
  std::cout << compared << " lossless images\n";
}

TEST(DecodeImageTest, LossyImagesEqualPillowWithinOneLevel) {
  int compared = 0;
  int equal = 0;
  for (const GoldenImage& golden : GoldenImages()) {
    if (!golden.lossy) continue;
    SCOPED_TRACE(golden.name);
    const auto image = DecodeImage(golden.encoded);
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_EQ(image->rgb.size(), golden.decoded.size());
    EXPECT_LE(ShareOff(*image, golden.decoded), 0.001);
    if (Bytes(image->rgb) == golden.decoded) ++equal;
    ++compared;
  }
  EXPECT_GE(compared, 20);
  std::cout << compared << " lossy images, " << equal << " bit for bit\n";
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

// A damaged file is an image or an error, whichever decoder it meets.
TEST(DecodeImageTest, FlippedBytesNeverDoMore) {
  int refused = 0;
  int decoded = 0;
  std::minstd_rand random(1);
  for (const GoldenImage& golden : GoldenImages()) {
    for (int i = 0; i < 20; ++i) {
      std::string damaged = golden.encoded;
      for (int k = 0; k <= i % 3; ++k) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      const auto image = DecodeImage(damaged, {.max_pixels = 1'000'000});
      if (image.ok()) {
        EXPECT_EQ(image->rgb.size(),
                  static_cast<size_t>(image->width) * image->height * 3);
        ++decoded;
      } else {
        EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
        EXPECT_THAT(ErrorReason(image.status()),
                    ::testing::StartsWith("IMAGE_"));
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(decoded, 100);
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

#include "datasets/resample.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"
#include "datasets/preprocess.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

// Pillow's own decoded pixels, so that only the resampling is compared.
RgbImage PillowPixels(const GoldenImage& golden) {
  if (!golden.lossy) {
    auto image = DecodeImage(golden.encoded);
    EXPECT_TRUE(image.ok()) << image.status();
    return image.ok() ? *std::move(image) : RgbImage{};
  }
  return RgbImage{golden.width,
                  golden.height,
                  {golden.decoded.begin(), golden.decoded.end()}};
}

TEST(ResampleTest, EqualsPillowBitForBit) {
  for (const GoldenImage& golden : GoldenImages()) {
    SCOPED_TRACE(golden.name);
    const RgbImage image = PillowPixels(golden);
    ASSERT_FALSE(image.rgb.empty());
    const RgbImage crop = ResampleBicubic(
        image, CenterWindow(image.width, image.height, golden.size));
    if (!golden.crop.empty()) {
      EXPECT_EQ(Bytes(crop.rgb), golden.crop);
    }
    EXPECT_EQ(Sha256Hex(Bytes(crop.rgb)), golden.crop_sha256);
  }
}

TEST(ResampleTest, FastEqualsPlainBitForBit) {
  std::mt19937 random(1);
  const auto up_to = [&](int most) {
    return std::uniform_int_distribution<int>(1, most)(random);
  };
  for (int i = 0; i < 300; ++i) {
    // Now and then of black and white only: the kernel overshoots most there.
    const bool extreme = i % 3 == 0;
    RgbImage image{up_to(i % 2 == 0 ? 40 : 700), up_to(300), {}};
    image.rgb.resize(static_cast<size_t>(image.width) * image.height * 3);
    for (uint8_t& level : image.rgb) {
      level = static_cast<uint8_t>(extreme ? random() % 2 * 255 : random());
    }
    ResizedWindow window;
    window.resized_width = up_to(300);
    window.resized_height = up_to(300);
    window.width = up_to(window.resized_width);
    window.height = up_to(window.resized_height);
    window.left = up_to(window.resized_width - window.width + 1) - 1;
    window.top = up_to(window.resized_height - window.height + 1) - 1;
    SCOPED_TRACE(absl::StrCat(image.width, "x", image.height, " to ",
                              window.resized_width, "x",
                              window.resized_height));
    EXPECT_EQ(ResampleBicubic(image, window).rgb,
              ResampleBicubic(image, window, /*fast=*/false).rgb);
  }
}

TEST(ResampleTest, SameSizeIsTheSameImage) {
  const RgbImage image = PillowPixels(GoldenImages()[10]);
  const RgbImage same = ResampleBicubic(
      image, {image.width, image.height, 0, 0, image.width, image.height});
  EXPECT_EQ(same.rgb, image.rgb);
}

TEST(ResampleTest, AWindowIsAPartOfTheWhole) {
  const RgbImage image = PillowPixels(GoldenImages()[8]);
  const RgbImage whole = ResampleBicubic(image, {50, 70, 0, 0, 50, 70});
  const RgbImage part = ResampleBicubic(image, {50, 70, 11, 23, 7, 5});
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7 * 3; ++x) {
      const auto at = static_cast<size_t>((23 + y) * 50 * 3 + 11 * 3 + x);
      EXPECT_EQ(part.rgb[static_cast<size_t>(y * 21 + x)], whole.rgb[at]);
    }
  }
}

TEST(CenterWindowTest, FollowsTorchvisionsRounding) {
  // 32 * 53 / 37 = 45.8 becomes 45; the excess 13 halves to 6.5, so to 6.
  const ResizedWindow tall = CenterWindow(37, 53, 32);
  EXPECT_EQ(tall.resized_width, 32);
  EXPECT_EQ(tall.resized_height, 45);
  EXPECT_EQ(tall.left, 0);
  EXPECT_EQ(tall.top, 6);
  // An excess of 3 halves to 1.5, so to 2.
  EXPECT_EQ(CenterWindow(35, 32, 32).left, 2);
  EXPECT_EQ(CenterWindow(33, 32, 32).left, 0);
}

TEST(PreprocessTest, TensorEqualsPillowAndNumpyBitForBit) {
  int compared = 0;
  for (const GoldenImage& golden : GoldenImages()) {
    if (golden.lossy) continue;
    SCOPED_TRACE(golden.name);
    const auto tensor = PreprocessImage(golden.encoded, {.size = golden.size});
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->size(),
              static_cast<size_t>(3 * golden.size * golden.size));
    EXPECT_EQ(Sha256Hex(Bytes(*tensor)), golden.tensor_sha256);
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST(PreprocessTest, AnExtremeStripCostsOnlyItsCrop) {
  const RgbImage strip{16384, 1, std::vector<uint8_t>(16384 * 3, 77)};
  const RgbImage crop = ResampleBicubic(strip, CenterWindow(16384, 1, 224));
  EXPECT_EQ(crop.rgb, std::vector<uint8_t>(224 * 224 * 3, 77));
}

}  // namespace
}  // namespace promptd::datasets

#include "datasets/random_view.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

RandomView ViewOf(const nlohmann::json& golden) {
  const auto box = golden.at("box").get<std::vector<int>>();
  return {box[0], box[1], box[2], box[3], golden.at("flip").get<bool>()};
}

TEST(DrawViewTest, EqualsTorchvisionsGetParams) {
  const nlohmann::json goldens = GoldenJson("views.json");
  ASSERT_GE(goldens.at("draws").size(), 150u);
  int fallbacks = 0;
  for (const nlohmann::json& golden : goldens.at("draws")) {
    const RandomView view =
        DrawView(golden.at("digest").get<std::string>(), golden.at("view"),
                 golden.at("width"), golden.at("height"));
    EXPECT_EQ(view, ViewOf(golden)) << golden.dump();
    // 300 x 10 holds no crop of eight percent within the ratios.
    if (golden.at("width") == 300) ++fallbacks;
  }
  EXPECT_GT(fallbacks, 0);
}

TEST(RenderViewTest, EqualsTorchvisionOnPillowBitForBit) {
  const nlohmann::json goldens = GoldenJson("views.json");
  ASSERT_GE(goldens.at("rendered").size(), 60u);
  for (const nlohmann::json& golden : goldens.at("rendered")) {
    SCOPED_TRACE(golden.dump());
    const auto encoded = ReadFile(
        GoldenPath("images/" + golden.at("file").get<std::string>()), 1 << 20);
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    const auto image = DecodeImage(*encoded);
    ASSERT_TRUE(image.ok()) << image.status();
    const int view = golden.at("view");
    const RandomView drawn =
        DrawView(Sha256Hex(*encoded), view, image->width, image->height);
    EXPECT_EQ(drawn, ViewOf(golden));
    const RgbImage square = RenderView(*image, drawn, golden.at("size"));
    EXPECT_EQ(Sha256Hex(Bytes(square.rgb)), golden.at("rgb_sha256"));
    // The whole way ends in the same pixels, normalised.
    const PreprocessOptions options{.size = golden.at("size")};
    const auto planes =
        PreprocessView(*encoded, Sha256Hex(*encoded), view, options);
    ASSERT_TRUE(planes.ok()) << planes.status();
    EXPECT_EQ(*planes, NormalizePixels(square, options));
  }
}

TEST(RenderViewTest, TheFilterSeesNothingOutsideOfTheCrop) {
  RgbImage image{8, 8, std::vector<uint8_t>(8 * 8 * 3, 255)};
  for (int y = 2; y < 6; ++y) {
    for (int x = 2 * 3; x < 6 * 3; ++x) image.rgb[y * 8 * 3 + x] = 10;
  }
  EXPECT_EQ(RenderView(image, {2, 2, 4, 4, false}, 9).rgb,
            std::vector<uint8_t>(9 * 9 * 3, 10));
}

// Area and ratio of 20,000 crops follow their distributions, and half of the
// views are flipped. The crops of a large square are hardly ever drawn twice,
// so the draws' own distribution is what is seen: area uniform in 0.08 .. 1 and
// log ratio uniform, less the pairs that do not fit into the square.
TEST(DrawViewTest, AreasRatiosAndFlipsAreDistributedAsTheyShould) {
  constexpr int kViews = 20'000;
  constexpr int kSide = 2000;
  double area = 0, log_ratio = 0, squared = 0, flips = 0, left = 0;
  int narrow = 0;
  for (int v = 0; v < kViews; ++v) {
    const RandomView view = DrawView("an image", v, kSide, kSide);
    const double share = static_cast<double>(view.width) * view.height /
                         (static_cast<double>(kSide) * kSide);
    const double ratio = static_cast<double>(view.width) / view.height;
    ASSERT_GT(share, 0.0799);
    ASSERT_LE(share, 1.0);
    ASSERT_GT(ratio, 0.748);
    ASSERT_LT(ratio, 1.337);
    area += share;
    log_ratio += std::log(ratio);
    squared += std::log(ratio) * std::log(ratio);
    flips += view.flip ? 1 : 0;
    if (share < 0.5) ++narrow;
    if (view.width < kSide) {
      left += static_cast<double>(view.left) / (kSide - view.width);
    }
  }
  // A pair fits when |log ratio| <= -log area, with L = log(4/3): below 3/4
  // every pair does, above it the share -log(a)/L. Integrated, with A = 3/4:
  //   kept = (A - 0.08) + (1 - A + A log A)/L
  //   mean = ((A^2 - 0.0064)/2 + (1/4 - A^2 (1 - 2 log A)/4)/L) / kept
  const double ln = std::log(4.0 / 3.0), a = 0.75;
  const double kept = (a - 0.08) + (1 - a + a * std::log(a)) / ln;
  const double mean =
      ((a * a - 0.0064) / 2 + (0.25 - a * a * (1 - 2 * std::log(a)) / 4) / ln) /
      kept;
  EXPECT_NEAR(area / kViews, mean, 0.006);
  EXPECT_NEAR(narrow / static_cast<double>(kViews), 0.42 / kept, 0.012);
  EXPECT_NEAR(log_ratio / kViews, 0, 0.005);
  EXPECT_LT(std::sqrt(squared / kViews), ln / std::sqrt(3.0));
  EXPECT_GT(std::sqrt(squared / kViews), 0.9 * ln / std::sqrt(3.0));
  EXPECT_NEAR(flips / kViews, 0.5, 0.012);
  EXPECT_NEAR(left / kViews, 0.5, 0.01);
}

TEST(DrawViewTest, ViewsFollowFromTheImageAndTheirNumberAlone) {
  EXPECT_EQ(DrawView("a", 3, 500, 400), DrawView("a", 3, 500, 400));
  std::set<std::string> seen;
  for (const char* digest : {"a", "b"}) {
    for (int v = 0; v < 10; ++v) {
      const RandomView view = DrawView(digest, v, 500, 400);
      seen.insert(absl::StrCat(view.left, " ", view.top, " ", view.width, " ",
                               view.height));
    }
  }
  EXPECT_EQ(seen.size(), 20u);
}

}  // namespace
}  // namespace promptd::datasets

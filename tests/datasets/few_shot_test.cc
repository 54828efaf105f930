#include "datasets/few_shot.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

void AddItems(const std::vector<int>& labels, Split split, Manifest* manifest) {
  for (const int label : labels) {
    manifest->items.push_back(
        {absl::StrCat(manifest->items.size(), ".png"), "", label, split});
  }
}

// Validation items stand first, so that the sampler must not rely on order.
Manifest MakeManifest(const std::vector<int>& train,
                      const std::vector<int>& val, int classes) {
  Manifest manifest;
  for (int c = 0; c < classes; ++c) {
    manifest.class_names.push_back(absl::StrCat("class ", c));
  }
  AddItems(val, Split::kVal, &manifest);
  AddItems(train, Split::kTrain, &manifest);
  return manifest;
}

TEST(FewShotTest, EqualsCoOpsSamplerInCPython) {
  const nlohmann::json golden = GoldenJson("few_shot.json");
  ASSERT_EQ(golden.at("splits").size(), 60u);
  for (const nlohmann::json& expected : golden.at("splits")) {
    const nlohmann::json& layout =
        golden.at("layouts").at(expected.at("layout").get<std::string>());
    const auto train = layout.at("train").get<std::vector<int>>();
    const auto val = layout.at("val").get<std::vector<int>>();
    const Manifest manifest = MakeManifest(
        train, val, *std::max_element(train.begin(), train.end()) + 1);
    const auto split = SampleFewShot(manifest, expected.at("shots"),
                                     expected.at("seed").get<int64_t>());
    ASSERT_TRUE(split.ok()) << split.status();
    auto picked = expected.at("train").get<std::vector<int>>();
    for (int& index : picked) index += static_cast<int>(val.size());
    EXPECT_EQ(split->train, picked);
    EXPECT_EQ(split->val, expected.at("val").get<std::vector<int>>());
  }
}

TEST(FewShotTest, NamesEveryShortClassAndTheWayOut) {
  const Manifest manifest =
      MakeManifest({0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3}, {}, 4);
  const auto split = SampleFewShot(manifest, 4, 1);
  EXPECT_EQ(split.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(split.status()), "TOO_FEW_IMAGES");
  EXPECT_THAT(ErrorFields(split.status()), SizeIs(3));
  EXPECT_THAT(
      std::string(split.status().message()),
      AllOf(HasSubstr("\"class 1\" has 3 training images, 4 are needed"),
            HasSubstr("\"class 3\" has 1 training image,"),
            HasSubstr("use --shots 1 or add"), Not(HasSubstr("class 0")),
            Not(HasSubstr("class 2"))));
}

TEST(FewShotTest, AClassWithoutTrainingImagesIsShortToo) {
  const auto split = SampleFewShot(MakeManifest({0, 0}, {1, 1}, 2), 1, 1);
  EXPECT_EQ(ErrorReason(split.status()), "TOO_FEW_IMAGES");
  EXPECT_THAT(std::string(split.status().message()),
              AllOf(HasSubstr("\"class 1\" has 0"), HasSubstr("add"),
                    Not(HasSubstr("--shots"))));
}

TEST(FewShotTest, ShotsMustBePositive) {
  for (const int shots : {0, -3}) {
    const auto split = SampleFewShot(MakeManifest({0}, {}, 1), shots, 1);
    EXPECT_EQ(ErrorReason(split.status()), "INVALID_SHOTS");
  }
}

}  // namespace
}  // namespace promptd::datasets

// The embedded encoder against the golden vectors that open_clip computed for
// it (tools/goldens/make_self_test.py); each planted defect must be found.
#include "clip/self_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <ostream>

#include "clip/encoder.h"
#include "tests/clip/golden.h"
#include "weights/encoder_folder.h"

namespace promptd::clip {
namespace {

weights::SelfTest EmbeddedGolden() {
  const std::string path = EncoderPath("embedded");
  const auto folder = weights::EncoderFolder::Open(path);
  EXPECT_TRUE(folder.ok()) << folder.status();
  const auto golden = weights::ReadSelfTest(path, folder->digest.get(),
                                            folder->config.embed_dim);
  EXPECT_TRUE(golden.ok()) << golden.status();
  return golden->value();
}

weights::SelfTest Now(const Encoder& encoder) {
  const auto now = ComputeSelfTest(encoder, "test");
  EXPECT_TRUE(now.ok()) << now.status();
  return now.value_or(weights::SelfTest());
}

std::shared_ptr<const Encoder> Load(const OpenEncoder& open) {
  const auto encoder = open.Load();
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  return encoder.value_or(nullptr);
}

void FlipBit(float& value, int bit) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits ^= uint32_t{1} << bit;
  std::memcpy(&value, &bits, sizeof(bits));
}

TEST(SelfTestTest, TheEmbeddedEncoderEqualsOpenClip) {
  const weights::SelfTest golden = EmbeddedGolden();
  EXPECT_EQ(golden.origin.rfind("open_clip ", 0), 0u) << golden.origin;
  const auto encoder = Load(OpenEncoder::Read("embedded"));
  ASSERT_NE(encoder, nullptr);
  const auto checks = CompareSelfTest(Now(*encoder), golden);
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].subject, "image features");
  EXPECT_EQ(checks[0].vectors, weights::kSelfTestImages);
  EXPECT_EQ(checks[1].subject, "text features");
  EXPECT_EQ(checks[1].vectors, weights::kSelfTestTexts);
  for (const weights::SelfTestCheck& check : checks) {
    std::printf("%s: deviation %.2e, cosine %.8f\n", check.subject.c_str(),
                check.deviation, check.cosine);
    EXPECT_TRUE(check.passed);
    EXPECT_EQ(check.limits.deviation, 1e-4f);
    EXPECT_EQ(check.limits.cosine, 0.9999f);
  }
}

TEST(SelfTestTest, InputsFillPositionsAndRangeAndOneTextIsCut) {
  const auto encoder = Load(OpenEncoder::Read("embedded"));
  ASSERT_NE(encoder, nullptr);
  const weights::EncoderConfig& config = encoder->config();
  EXPECT_GT(encoder->tokenizer().Encode(SelfTestTexts()[1])->size(), 77u);
  FloatTensor pixels = SelfTestPixels(*encoder);
  const int64_t side = config.vision.image_size;
  EXPECT_EQ(pixels.shape, (std::vector<int64_t>{2, 3, side, side}));
  const auto plane = static_cast<size_t>(side * side);
  for (size_t channel = 0; channel < 3; ++channel) {
    const auto begin = pixels.values.begin() + channel * plane;
    const auto [low, high] = std::minmax_element(begin, begin + plane);
    const float mean = config.preprocess.mean[channel];
    const float deviation = config.preprocess.std[channel];
    EXPECT_NEAR(*low, -mean / deviation, 0.02 / deviation);
    EXPECT_NEAR(*high, (1 - mean) / deviation, 0.02 / deviation);
  }
}

TEST(SelfTestTest, BFloat16TowersPassWithTheirOwnTolerance) {
  const auto folder = weights::EncoderFolder::Open(EncoderPath("embedded"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto encoder = Encoder::Load(*folder, {Precision::kBFloat16});
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  const weights::SelfTest golden = EmbeddedGolden();
  for (const auto& check :
       CompareSelfTest(Now(**encoder), golden, Precision::kBFloat16)) {
    EXPECT_TRUE(check.passed) << check.subject << " " << check.deviation;
  }
  for (const auto& check : CompareSelfTest(Now(**encoder), golden)) {
    EXPECT_FALSE(check.passed) << check.subject;
  }
}

TEST(SelfTestTest, AnEncoderOfAnotherKindPassesItsOwn) {
  for (const char* name : {"tiny", "tiny_vit"}) {
    OpenEncoder open = OpenEncoder::Read(name);
    const auto encoder = Load(open);
    ASSERT_NE(encoder, nullptr);
    for (const auto& check : CompareSelfTest(Now(*encoder), Now(*encoder))) {
      EXPECT_TRUE(check.passed) << name << " " << check.subject;
    }
    // And not one whose weights differ in a single block.
    for (float& value :
         open.at("transformer.resblocks.1.mlp.c_fc.weight").values) {
      value *= 1.01f;
    }
    const auto other = Load(open);
    ASSERT_NE(other, nullptr);
    const auto checks = CompareSelfTest(Now(*other), Now(*encoder));
    EXPECT_TRUE(checks[0].passed) << name;
    EXPECT_FALSE(checks[1].passed) << name;
  }
}

// What is wrong with the stored vectors, and which check must find it.
struct Planted {
  const char* name;
  size_t finder;
  std::function<void(weights::SelfTest&)> apply;
};
void PrintTo(const Planted& planted, std::ostream* out) {
  *out << planted.name;
}

class SelfTestGoldenTest : public ::testing::TestWithParam<Planted> {};

TEST_P(SelfTestGoldenTest, FailsInItsCheckOnly) {
  weights::SelfTest golden = EmbeddedGolden();
  const auto encoder = Load(OpenEncoder::Read("embedded"));
  ASSERT_NE(encoder, nullptr);
  GetParam().apply(golden);
  const auto checks = CompareSelfTest(Now(*encoder), golden);
  const size_t finder = GetParam().finder;
  EXPECT_FALSE(checks[finder].passed);
  EXPECT_TRUE(checks[1 - finder].passed);
}

const Planted kPlanted[] = {
    {"SignOfOneNumber", 0,
     [](auto& g) { FlipBit(g.image_features.values[7], 31); }},
    {"ExponentOfOneNumber", 0,
     [](auto& g) { FlipBit(g.image_features.values[300], 24); }},
    {"UpperMantissaOfOneNumber", 1,
     [](auto& g) { FlipBit(g.text_features.values[0], 22); }},
    {"NotANumber", 0,
     [](auto& g) { g.image_features.values[1] = std::nanf(""); }},
    {"Infinite", 1, [](auto& g) { g.text_features.values[1] = INFINITY; }},
    {"Zeros", 1,
     [](auto& g) {
       std::fill(g.text_features.values.begin(), g.text_features.values.end(),
                 0.0f);
     }},
    {"WrongShape", 0,
     [](auto& g) {
       std::swap(g.image_features.shape[0], g.image_features.shape[1]);
     }},
    {"RowsSwapped", 1,
     [](auto& g) {
       auto& values = g.text_features.values;
       const auto width = static_cast<size_t>(g.text_features.shape[1]);
       std::swap_ranges(values.begin(), values.begin() + width,
                        values.begin() + width);
     }},
    {"Scaled", 1,
     [](auto& g) {
       for (float& value : g.text_features.values) value *= 1.001f;
     }},
};
INSTANTIATE_TEST_SUITE_P(Golden, SelfTestGoldenTest,
                         ::testing::ValuesIn(kPlanted),
                         [](const auto& planted) {
                           return std::string(planted.param.name);
                         });

// What is wrong with the encoder.
struct Defect {
  const char* name;
  size_t finder;
  std::function<void(OpenEncoder&)> apply;
};
void PrintTo(const Defect& defect, std::ostream* out) { *out << defect.name; }

class SelfTestEncoderTest : public ::testing::TestWithParam<Defect> {};

TEST_P(SelfTestEncoderTest, IsFound) {
  OpenEncoder open = OpenEncoder::Read("embedded");
  GetParam().apply(open);
  const auto encoder = Load(open);
  ASSERT_NE(encoder, nullptr);
  EXPECT_FALSE(
      CompareSelfTest(Now(*encoder), EmbeddedGolden())[GetParam().finder]
          .passed);
}

const Defect kDefects[] = {
    {"OtherGelu", 1,
     [](auto& e) { e.config.quick_gelu = !e.config.quick_gelu; }},
    {"LastPositionZero", 1,
     [](auto& e) {
       auto& values = e.at("positional_embedding").values;
       std::fill(values.end() - e.config.text.width, values.end(), 0.0f);
     }},
    {"OneWeightTimesTwo", 0,
     [](auto& e) { e.at("visual.bn1.bias").values[3] *= 2; }},
    {"ChannelsSwapped", 0,
     [](auto& e) {
       std::swap(e.config.preprocess.mean[0], e.config.preprocess.mean[2]);
     }},
    {"OtherDeviation", 0, [](auto& e) { e.config.preprocess.std[1] *= 1.01f; }},
    {"Overflow", 1, [](auto& e) { e.at("ln_final.bias").values[0] = 3e38f; }},
};
INSTANTIATE_TEST_SUITE_P(Encoders, SelfTestEncoderTest,
                         ::testing::ValuesIn(kDefects), [](const auto& defect) {
                           return std::string(defect.param.name);
                         });

}  // namespace
}  // namespace promptd::clip

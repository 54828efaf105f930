// A parity test that passes on a wrong encoder proves nothing: each planted
// defect must push the error over the tolerance.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <utility>

#include "tests/clip/golden.h"

namespace promptd::clip {
namespace {

constexpr double kTextTolerance = 1e-5;
constexpr double kImageTolerance = 1e-4;

// What is fed into the encoder; a mutation alters one thing.
struct Subject {
  OpenEncoder encoder;
  Goldens goldens;

  FloatTensor& Tensor(const std::string& name) { return encoder.at(name); }
  void Zero(const std::string& name) {
    std::fill(Tensor(name).values.begin(), Tensor(name).values.end(), 0.0f);
  }
  void Swap(const std::string& a, const std::string& b) {
    std::swap(Tensor(a).values, Tensor(b).values);
  }
};

struct Mutation {
  const char* name;
  std::function<void(Subject&)> apply;
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
  *out << mutation.name;
}

constexpr char kBlock[] = "transformer.resblocks.0.";

const Mutation kTextMutations[] = {
    {"OtherGelu",
     [](Subject& s) {
       s.encoder.config.quick_gelu = !s.encoder.config.quick_gelu;
     }},
    {"SwappedNorms",
     [](Subject& s) {
       for (const char* part : {"weight", "bias"}) {
         s.Swap(std::string(kBlock) + "ln_1." + part,
                std::string(kBlock) + "ln_2." + part);
       }
     }},
    {"NoAttentionBias",
     [](Subject& s) { s.Zero(std::string(kBlock) + "attn.out_proj.bias"); }},
    {"NoInProjectionBias",
     [](Subject& s) { s.Zero(std::string(kBlock) + "attn.in_proj_bias"); }},
    {"NoMlpBias",
     [](Subject& s) { s.Zero(std::string(kBlock) + "mlp.c_fc.bias"); }},
    {"ShiftedEot",
     [](Subject& s) {
       for (TokenRow& row : s.goldens.token_ids) {
         const int64_t eot = EotIndex(row);
         std::swap(row[eot], row[eot - 1]);
       }
     }},
    {"NoFinalNorm",
     [](Subject& s) {
       s.Zero("ln_final.bias");
       auto& weight = s.Tensor("ln_final.weight").values;
       std::fill(weight.begin(), weight.end(), 1.0f);
     }},
    {"WrongHeadCount",
     [](Subject& s) {
       auto& text = s.encoder.config.text;
       text.heads = text.heads % 2 == 0 ? text.heads / 2 : 1;
     }},
    {"SwappedQueryAndKey",
     [](Subject& s) {
       for (const char* part : {"attn.in_proj_weight", "attn.in_proj_bias"}) {
         auto& values = s.Tensor(std::string(kBlock) + part).values;
         const auto third = static_cast<int64_t>(values.size()) / 3;
         std::swap_ranges(values.begin(), values.begin() + third,
                          values.begin() + third);
       }
     }},
    {"ShiftedPositions",
     [](Subject& s) {
       auto& values = s.Tensor("positional_embedding").values;
       std::rotate(values.begin(), values.begin() + s.encoder.config.text.width,
                   values.end());
     }},
    {"SwappedBlocks",
     [](Subject& s) {
       s.Swap("transformer.resblocks.0.mlp.c_proj.weight",
              "transformer.resblocks.1.mlp.c_proj.weight");
     }},
};

const Mutation kImageMutations[] = {
    {"WrongHeadCount",
     [](Subject& s) { s.encoder.config.vision.head_width /= 2; }},
    {"NoPoolPositions",
     [](Subject& s) { s.Zero("visual.attnpool.positional_embedding"); }},
    {"SwappedPoolQueryAndKey",
     [](Subject& s) {
       for (const char* part : {"weight", "bias"}) {
         s.Swap(std::string("visual.attnpool.q_proj.") + part,
                std::string("visual.attnpool.k_proj.") + part);
       }
     }},
    {"NoPoolValueBias",
     [](Subject& s) { s.Zero("visual.attnpool.v_proj.bias"); }},
    {"SwappedStemNorms",
     [](Subject& s) {
       for (const char* part :
            {"weight", "bias", "running_mean", "running_var"}) {
         s.Swap(std::string("visual.bn1.") + part,
                std::string("visual.bn2.") + part);
       }
     }},
    {"NoRunningMean",
     [](Subject& s) { s.Zero("visual.layer1.0.bn2.running_mean"); }},
    {"NoNormBias", [](Subject& s) { s.Zero("visual.layer4.0.bn3.bias"); }},
    {"OtherNormEpsilon",
     [](Subject& s) {
       for (auto& [name, tensor] : s.encoder.tensors) {
         if (name.find("running_var") == std::string::npos) continue;
         for (float& value : tensor.values) value += 1e-3f;
       }
     }},
    {"NoDownsampleNorm",
     [](Subject& s) { s.Zero("visual.layer2.0.downsample.1.bias"); }},
    {"MirroredKernels",
     [](Subject& s) {
       auto& values = s.Tensor("visual.layer2.0.conv2.weight").values;
       for (size_t i = 0; i + 9 <= values.size(); i += 9) {
         std::reverse(values.begin() + i, values.begin() + i + 9);
       }
     }},
    {"BlueFirst",
     [](Subject& s) {
       FloatTensor& pixels = s.goldens.pixels;
       const int64_t plane = pixels.shape[2] * pixels.shape[3];
       for (int64_t i = 0; i < pixels.shape[0]; ++i) {
         const auto begin = pixels.values.begin() + i * 3 * plane;
         std::swap_ranges(begin, begin + plane, begin + 2 * plane);
       }
     }},
    {"WrongPixelScale",
     [](Subject& s) {
       for (float& value : s.goldens.pixels.values) value *= 255.0f / 256.0f;
     }},
};

using Parameter = std::tuple<const char*, Mutation>;

class MutationTest : public ::testing::TestWithParam<Parameter> {
 protected:
  std::pair<Subject, std::shared_ptr<const Encoder>> Mutated() {
    const auto& [name, mutation] = GetParam();
    Subject subject{OpenEncoder::Read(name), LoadGoldens(name)};
    mutation.apply(subject);
    auto encoder = subject.encoder.Load();
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    return {std::move(subject), encoder.ok() ? *encoder : nullptr};
  }
};

class TextMutationTest : public MutationTest {};
class ImageMutationTest : public MutationTest {};

TEST_P(TextMutationTest, BreaksTextParity) {
  const auto [subject, encoder] = Mutated();
  ASSERT_NE(encoder, nullptr);
  const Goldens& goldens = subject.goldens;
  EXPECT_GT(RelativeError(PlainTextFeatures(*encoder, goldens.token_ids),
                          goldens.text_features),
            kTextTolerance);
  EXPECT_GT(RelativeError(PackedTextFeatures(*encoder, goldens.token_ids),
                          goldens.text_features),
            kTextTolerance);
}

TEST_P(ImageMutationTest, BreaksImageParity) {
  const auto [subject, encoder] = Mutated();
  ASSERT_NE(encoder, nullptr);
  const auto features = encoder->EncodeImages(subject.goldens.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_GT(RelativeError(*features, subject.goldens.image_features),
            kImageTolerance);
}

std::string NameOf(const ::testing::TestParamInfo<Parameter>& info) {
  return std::string(std::get<0>(info.param)) + "_" +
         std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(
    Encoders, TextMutationTest,
    ::testing::Combine(::testing::Values("tiny", "embedded"),
                       ::testing::ValuesIn(kTextMutations)),
    NameOf);
INSTANTIATE_TEST_SUITE_P(
    Encoders, ImageMutationTest,
    ::testing::Combine(::testing::Values("tiny", "embedded"),
                       ::testing::ValuesIn(kImageMutations)),
    NameOf);

// The mutations above start from an unaltered copy: it must pass.
TEST(MutationControlTest, UnalteredCopyKeepsParity) {
  for (const char* name : {"tiny", "embedded"}) {
    const Goldens goldens = LoadGoldens(name);
    const auto encoder = OpenEncoder::Read(name).Load();
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    EXPECT_LE(RelativeError(PlainTextFeatures(**encoder, goldens.token_ids),
                            goldens.text_features),
              kTextTolerance);
    const auto features = (*encoder)->EncodeImages(goldens.pixels);
    ASSERT_TRUE(features.ok()) << features.status();
    EXPECT_LE(RelativeError(*features, goldens.image_features),
              kImageTolerance);
  }
}

}  // namespace
}  // namespace promptd::clip

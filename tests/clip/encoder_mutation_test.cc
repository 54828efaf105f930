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
};

constexpr char kPatchBlock[] = "visual.transformer.resblocks.1.";

const Mutation kPatchMutations[] = {
    {"OtherGelu",
     [](Subject& s) {
       s.encoder.config.quick_gelu = !s.encoder.config.quick_gelu;
     }},
    {"WrongHeadCount",
     [](Subject& s) { s.encoder.config.vision.head_width /= 2; }},
    {"NoClassToken", [](Subject& s) { s.Zero("visual.class_embedding"); }},
    {"ClassTokenLast",
     [](Subject& s) {
       auto& values = s.Tensor("visual.positional_embedding").values;
       std::rotate(values.begin(),
                   values.begin() + s.encoder.config.vision.width,
                   values.end());
     }},
    {"PatchesByColumn",  // positions of a transposed grid
     [](Subject& s) {
       const auto& vision = s.encoder.config.vision;
       const int grid = vision.image_size / vision.patch_size;
       auto& values = s.Tensor("visual.positional_embedding").values;
       const auto place = [&](int row, int column) {
         return values.begin() + (1 + row * grid + column) * vision.width;
       };
       for (int row = 0; row < grid; ++row) {
         for (int column = 0; column < row; ++column) {
           std::swap_ranges(place(row, column),
                            place(row, column) + vision.width,
                            place(column, row));
         }
       }
     }},
    {"MirroredPatches",
     [](Subject& s) {
       const int side = s.encoder.config.vision.patch_size;
       auto& values = s.Tensor("visual.conv1.weight").values;
       for (auto row = values.begin(); row != values.end(); row += side) {
         std::reverse(row, row + side);
       }
     }},
    {"NoNormBefore",
     [](Subject& s) {
       s.Zero("visual.ln_pre.bias");
       auto& weight = s.Tensor("visual.ln_pre.weight").values;
       std::fill(weight.begin(), weight.end(), 1.0f);
     }},
    {"NoNormAfter", [](Subject& s) { s.Zero("visual.ln_post.bias"); }},
    {"SwappedNorms",
     [](Subject& s) {
       for (const char* part : {"weight", "bias"}) {
         s.Swap(std::string(kPatchBlock) + "ln_1." + part,
                std::string(kPatchBlock) + "ln_2." + part);
       }
     }},
    {"NoAttentionBias",
     [](Subject& s) {
       s.Zero(std::string(kPatchBlock) + "attn.out_proj.bias");
     }},
    {"NoInProjectionBias",
     [](Subject& s) {
       s.Zero(std::string(kPatchBlock) + "attn.in_proj_bias");
     }},
    {"NoMlpBias",
     [](Subject& s) { s.Zero(std::string(kPatchBlock) + "mlp.c_proj.bias"); }},
    {"NoLastMlpBias",
     [](Subject& s) {
       s.Zero("visual.transformer.resblocks.2.mlp.c_fc.bias");
     }},
    {"SwappedLastQueryAndKey",
     [](Subject& s) {
       auto& values =
           s.Tensor("visual.transformer.resblocks.2.attn.in_proj_weight")
               .values;
       const auto third = static_cast<int64_t>(values.size()) / 3;
       std::swap_ranges(values.begin(), values.begin() + third,
                        values.begin() + third);
     }},
    {"SwappedBlocks",
     [](Subject& s) {
       s.Swap("visual.transformer.resblocks.0.mlp.c_proj.weight",
              "visual.transformer.resblocks.1.mlp.c_proj.weight");
     }},
    {"TransposedProjection",
     [](Subject& s) {
       auto& values = s.Tensor("visual.proj").values;
       std::rotate(values.begin(), values.begin() + 1, values.end());
     }},
};

const Mutation kPixelMutations[] = {
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
  EXPECT_GT(RelativeError(
                PlainTextFeatures(subject.encoder.Folder(), goldens.token_ids),
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
            ImageTolerance(encoder->config()));
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
    ResNets, ImageMutationTest,
    ::testing::Combine(::testing::Values("tiny", "embedded"),
                       ::testing::ValuesIn(kImageMutations)),
    NameOf);
INSTANTIATE_TEST_SUITE_P(
    VisionTransformers, ImageMutationTest,
    ::testing::Combine(::testing::Values("tiny_vit"),
                       ::testing::ValuesIn(kPatchMutations)),
    NameOf);
INSTANTIATE_TEST_SUITE_P(
    Pixels, ImageMutationTest,
    ::testing::Combine(::testing::Values("tiny", "tiny_vit", "embedded"),
                       ::testing::ValuesIn(kPixelMutations)),
    NameOf);

// The mutations above start from an unaltered copy: it must pass.
TEST(MutationControlTest, UnalteredCopyKeepsParity) {
  for (const char* name : {"tiny", "tiny_vit", "embedded"}) {
    const Goldens goldens = LoadGoldens(name);
    const OpenEncoder open = OpenEncoder::Read(name);
    const auto encoder = open.Load();
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    EXPECT_LE(RelativeError(PlainTextFeatures(open.Folder(), goldens.token_ids),
                            goldens.text_features),
              kTextTolerance);
    const auto features = (*encoder)->EncodeImages(goldens.pixels);
    ASSERT_TRUE(features.ok()) << features.status();
    EXPECT_LE(RelativeError(*features, goldens.image_features),
              ImageTolerance((*encoder)->config()));
  }
}

}  // namespace
}  // namespace promptd::clip

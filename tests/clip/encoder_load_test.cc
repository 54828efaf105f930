// Encoder::Load refuses every folder that is not exactly its architecture.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "clip/torch_status.h"
#include "common/error.h"
#include "tests/clip/golden.h"

namespace promptd::clip {
namespace {

const OpenEncoder& Tiny() {
  static const OpenEncoder* const encoder =
      new OpenEncoder(OpenEncoder::Read("tiny"));
  return *encoder;
}

void ExpectRefused(const OpenEncoder& encoder, const std::string& reason,
                   const std::string& named) {
  const auto loaded = encoder.Load();
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(ErrorReason(loaded.status()), reason);
  EXPECT_NE(std::string(loaded.status().message()).find(named),
            std::string::npos)
      << loaded.status();
}

TEST(EncoderLoadTest, NamesEveryMissingTensor) {
  for (const auto& [name, tensor] : Tiny().tensors) {
    OpenEncoder encoder = Tiny();
    encoder.tensors.erase(name);
    ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", name + " is missing");
  }
}

TEST(EncoderLoadTest, NamesEveryMisshapenTensor) {
  for (const auto& [name, tensor] : Tiny().tensors) {
    OpenEncoder encoder = Tiny();
    encoder.at(name).shape.push_back(1);
    ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", name + " has shape");
  }
}

TEST(EncoderLoadTest, NamesTensorsThatDoNotBelong) {
  OpenEncoder encoder = Tiny();
  encoder.tensors["visual.layer5.0.conv1.weight"] = {{1}, {1}};
  ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", "visual.layer5.0.conv1");
}

TEST(EncoderLoadTest, NamesTensorsThatAreNotFinite) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(),
                    std::numeric_limits<float>::infinity()}) {
    OpenEncoder encoder = Tiny();
    encoder.at("ln_final.bias").values[3] = bad;
    ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", "ln_final.bias holds NaN");
  }
}

TEST(EncoderLoadTest, NamesSeveralProblemsAtOnce) {
  OpenEncoder encoder = Tiny();
  encoder.tensors.erase("logit_scale");
  encoder.tensors["extra"] = {{1}, {1}};
  ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", "logit_scale is missing");
  ExpectRefused(encoder, "BAD_ENCODER_WEIGHTS", "extra does not belong");
}

TEST(EncoderLoadTest, RefusesMergesOfAnotherVocabulary) {
  OpenEncoder encoder = Tiny();
  encoder.merges.resize(encoder.merges.rfind('\n', encoder.merges.size() - 2) +
                        1);
  ExpectRefused(encoder, "BAD_MERGES", "vocab_size is 714");
}

TEST(EncoderTest, RefusesPixelsOfAnotherShape) {
  const auto encoder = Tiny().Load();
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  for (const FloatTensor& pixels :
       {FloatTensor{{1, 3, 64, 64}, std::vector<float>(3 * 64 * 64)},
        FloatTensor{{3, 96, 96}, std::vector<float>(3 * 96 * 96)},
        FloatTensor{{1, 1, 96, 96}, std::vector<float>(96 * 96)},
        FloatTensor{{0, 3, 96, 96}, {}},
        FloatTensor{{2, 3, 96, 96}, std::vector<float>(3 * 96 * 96)}}) {
    const auto features = (*encoder)->EncodeImages(pixels);
    ASSERT_FALSE(features.ok());
    EXPECT_EQ(ErrorReason(features.status()), "BAD_IMAGE_SHAPE");
  }
}

// Nothing of an encoder may lie in its file, which can change or go.
TEST(EncoderTest, LetsGoOfItsFile) {
  for (const Precision precision :
       {Precision::kFloat32, Precision::kBFloat16}) {
    for (const char* name : {"embedded", "tiny", "tiny_vit"}) {
      std::weak_ptr<const void> file;
      std::shared_ptr<const Encoder> encoder;
      {
        const auto folder = weights::EncoderFolder::Open(EncoderPath(name));
        ASSERT_TRUE(folder.ok()) << folder.status();
        file = folder->tensors.owner();
        const auto loaded = Encoder::Load(*folder, {precision});
        ASSERT_TRUE(loaded.ok()) << loaded.status();
        encoder = *loaded;
        EXPECT_FALSE(file.expired());
      }
      EXPECT_TRUE(file.expired()) << name;
    }
  }
}

TEST(EncoderTest, DescribesItself) {
  const auto folder = weights::EncoderFolder::Open(EncoderPath("embedded"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto encoder = Encoder::Load(*folder);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_EQ((*encoder)->name(), "embedded");
  EXPECT_EQ((*encoder)->digest(), folder->digest.get());
  EXPECT_TRUE((*encoder)->demonstration());
  EXPECT_GT((*encoder)->parameters(), 1000000);
}

}  // namespace
}  // namespace promptd::clip

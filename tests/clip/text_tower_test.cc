#include "clip/text_tower.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <map>
#include <string>
#include <vector>

#include "clip/plain_text_encoder.h"
#include "clip/prompt_layout.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/clip/random_text_tower.h"

namespace promptd::clip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PromptLayoutTest, EotIsTheFirstLargestId) {
  EXPECT_EQ(EotIndex({598, 3, 599, 0, 599}), 2);
}

TEST(PromptLayoutTest, SharedPrefixEndsBeforeTheFirstEot) {
  EXPECT_EQ(SharedPrefix({{598, 1, 2, 599}, {598, 1, 3, 4, 599}}), 2);
  EXPECT_EQ(SharedPrefix({{598, 1, 599}, {598, 1, 3, 599}}), 2);
  EXPECT_EQ(SharedPrefix({{598, 1, 599}}), 2);
}

TEST(PromptLayoutTest, PacksEqualLengthsTogetherShortestFirst) {
  const auto layout = MakePromptLayout(
      {{598, 7, 1, 2, 599}, {598, 7, 3, 599}, {598, 7, 4, 5, 599, 0, 0}}, 2, 77,
      100);
  ASSERT_TRUE(layout.ok());
  ASSERT_EQ(layout->chunks.size(), 1u);
  const PromptChunk& chunk = layout->chunks[0];
  EXPECT_THAT(chunk.classes, ElementsAre(1, 0, 2));
  EXPECT_THAT(chunk.token_ids, ElementsAre(3, 599, 1, 2, 599, 4, 5, 599));
  EXPECT_THAT(chunk.positions, ElementsAre(2, 3, 2, 3, 4, 2, 3, 4));
  EXPECT_THAT(chunk.eot_rows, ElementsAre(1, 4, 7));
  ASSERT_EQ(chunk.groups.size(), 2u);
  EXPECT_EQ(chunk.groups[1].length, 3);
  EXPECT_EQ(chunk.groups[1].count, 2);
  EXPECT_EQ(chunk.groups[1].first_row, 2);
  EXPECT_EQ(chunk.groups[1].first_slot, 1);
}

TEST(PromptLayoutTest, ChunksHoldAtLeastOneClassAndKeepTheirBound) {
  const std::vector<TokenRow> rows(5, {598, 1, 2, 599});
  const auto layout = MakePromptLayout(rows, 1, 77, 7);
  ASSERT_TRUE(layout.ok());
  // The prefix counts in the first chunk: (7 - 1) / 3 classes, then 7 / 3.
  ASSERT_EQ(layout->chunks.size(), 3u);
  EXPECT_EQ(layout->chunks[0].rows(), 6);
  EXPECT_EQ(layout->chunks[2].rows(), 3);
  const auto tight = MakePromptLayout(rows, 1, 77, 1);
  ASSERT_TRUE(tight.ok());
  EXPECT_EQ(tight->chunks.size(), 5u);
}

TEST(TextTowerTest, NamesEveryTensorThatIsMissingOrMisshapen) {
  const weights::EncoderConfig config = TinyTextConfig(64, 4, 2, true);
  std::map<std::string, FloatTensor> tensors = RandomTextTensors(config, 1);
  tensors.erase("ln_final.bias");
  tensors["text_projection"].shape = {32, 64};
  const auto bytes = weights::WriteSafetensors(tensors);
  ASSERT_TRUE(bytes.ok());
  const auto file = weights::Safetensors::FromBytes(*bytes, "broken");
  ASSERT_TRUE(file.ok());
  const auto tower = TextTower::Load(config, *file);
  EXPECT_EQ(ErrorReason(tower.status()), "BAD_ENCODER_WEIGHTS");
  EXPECT_THAT(std::string(tower.status().message()),
              HasSubstr("ln_final.bias"));
  EXPECT_THAT(std::string(tower.status().message()),
              HasSubstr("text_projection"));
}

class PlainTextEncoderTest : public ::testing::Test {
 protected:
  PlainTextEncoderTest()
      : config_(TinyTextConfig(64, 4, 2, true)),
        weights_(RandomTextWeights(config_, 5)) {}

  at::Tensor Encode(const std::vector<int64_t>& ids) {
    const at::NoGradGuard no_grad;
    return EncodeTokens(weights_, at::tensor(ids).view({1, -1}));
  }

  weights::EncoderConfig config_;
  TextWeights weights_;
};

TEST_F(PlainTextEncoderTest, NothingBehindEotMatters) {
  const at::Tensor a = Encode({598, 5, 9, 599, 0, 0, 0});
  const at::Tensor b = Encode({598, 5, 9, 599, 17, 3, 250});
  EXPECT_TRUE(a.allclose(b, 1e-6, 1e-6));
}

TEST_F(PlainTextEncoderTest, EverythingBeforeEotMatters) {
  const at::Tensor a = Encode({598, 5, 9, 599, 0});
  EXPECT_FALSE(a.allclose(Encode({598, 6, 9, 599, 0}), 1e-2, 1e-2));
  EXPECT_FALSE(a.allclose(Encode({598, 9, 5, 599, 0}), 1e-2, 1e-2));
  EXPECT_FALSE(a.allclose(Encode({597, 5, 9, 599, 0}), 1e-2, 1e-2));
}

TEST_F(PlainTextEncoderTest, TheActivationIsTheConfiguredOne) {
  const at::Tensor quick = Encode({598, 5, 9, 599});
  weights_.quick_gelu = false;
  EXPECT_FALSE(quick.allclose(Encode({598, 5, 9, 599}), 1e-3, 1e-3));
}

}  // namespace
}  // namespace promptd::clip

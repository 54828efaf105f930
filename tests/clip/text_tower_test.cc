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

std::vector<PromptText> Fixed(const std::vector<TokenRow>& rows) {
  std::vector<PromptText> texts;
  for (const TokenRow& row : rows) texts.push_back(FixedText(row));
  return texts;
}

TEST(PromptLayoutTest, SharedPrefixEndsBeforeTheFirstEot) {
  EXPECT_EQ(SharedPrefix(Fixed({{598, 1, 2, 599}, {598, 1, 3, 4, 599}})), 2);
  EXPECT_EQ(SharedPrefix(Fixed({{598, 1, 599}, {598, 1, 3, 599}})), 2);
  EXPECT_EQ(SharedPrefix(Fixed({{598, 1, 599}})), 2);
}

TEST(PromptLayoutTest, PacksEqualLengthsTogetherShortestFirst) {
  const auto layout = MakePromptLayout(
      Fixed({{598, 7, 1, 2, 599}, {598, 7, 3, 599}, {598, 7, 4, 5, 599, 0, 0}}),
      77, 100);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->prefix.size(), 2u);
  EXPECT_FALSE(layout->constant_prefix);
  ASSERT_EQ(layout->chunks.size(), 1u);
  const PromptChunk& chunk = layout->chunks[0];
  EXPECT_THAT(chunk.classes, ElementsAre(1, 0, 2));
  EXPECT_EQ(chunk.items, (std::vector<PromptItem>{
                             {3}, {599}, {1}, {2}, {599}, {4}, {5}, {599}}));
  EXPECT_THAT(chunk.positions, ElementsAre(2, 3, 2, 3, 4, 2, 3, 4));
  EXPECT_THAT(chunk.eot_rows, ElementsAre(1, 4, 7));
  ASSERT_EQ(chunk.groups.size(), 2u);
  EXPECT_EQ(chunk.groups[1].length, 3);
  EXPECT_EQ(chunk.groups[1].count, 2);
  EXPECT_EQ(chunk.groups[1].first_row, 2);
  EXPECT_EQ(chunk.groups[1].first_slot, 1);
}

TEST(PromptLayoutTest, ChunksHoldAtLeastOneClassAndKeepTheirBound) {
  const std::vector<PromptText> texts = Fixed({{598, 1, 9, 599},
                                               {598, 2, 9, 599},
                                               {598, 3, 9, 599},
                                               {598, 4, 9, 599},
                                               {598, 5, 9, 599}});
  const auto layout = MakePromptLayout(texts, 77, 7);
  ASSERT_TRUE(layout.ok());
  // The prefix counts in the first chunk: (7 - 1) / 3 classes, then 7 / 3.
  ASSERT_EQ(layout->chunks.size(), 3u);
  EXPECT_EQ(layout->chunks[0].rows(), 6);
  EXPECT_EQ(layout->chunks[2].rows(), 3);
  const auto tight = MakePromptLayout(texts, 77, 1);
  ASSERT_TRUE(tight.ok());
  EXPECT_EQ(tight->chunks.size(), 5u);
}

TEST(PromptLayoutTest, NamesBeforeTheContextAreLeads) {
  // SOT, a name of one or two tokens, two learned rows, the dot, EOT.
  const PromptText one = {{598},          {1},   {.context = 0},
                          {.context = 1}, {269}, {599}};
  const PromptText two = {{598},          {2},   {3},  {.context = 0},
                          {.context = 1}, {269}, {599}};
  const auto layout = MakePromptLayout({two, one}, 77, 100);
  ASSERT_TRUE(layout.ok());
  EXPECT_TRUE(layout->constant_prefix);
  EXPECT_EQ(layout->prefix, PromptText({{598}}));
  ASSERT_EQ(layout->chunks.size(), 1u);
  const PromptChunk& chunk = layout->chunks[0];
  EXPECT_THAT(chunk.classes, ElementsAre(1, 0));
  EXPECT_EQ(chunk.lead_items, (std::vector<PromptItem>{{1}, {2}, {3}}));
  EXPECT_THAT(chunk.lead_positions, ElementsAre(1, 1, 2));
  EXPECT_THAT(chunk.positions, ElementsAre(2, 3, 4, 5, 3, 4, 5, 6));
  ASSERT_EQ(chunk.groups.size(), 2u);
  EXPECT_EQ(chunk.groups[1].lead, 2);
  EXPECT_EQ(chunk.groups[1].length, 4);
}

TEST(PromptTextTest, ArrangesTheContextAsCoOpDoes) {
  // Three placeholders, a name of two tokens, the dot, EOT.
  const TokenRow row = {598, 343, 343, 343, 7, 8, 269, 599, 0};
  const PromptItem c5 = {.context = 5}, c6 = {.context = 6},
                   c7 = {.context = 7};
  const auto arranged = [&](ClassPosition position) {
    return *ArrangePrompt(row, 2, {3, position, 5});
  };
  EXPECT_EQ(arranged(ClassPosition::kEnd),
            PromptText({{598}, c5, c6, c7, {7}, {8}, {269}, {599}}));
  EXPECT_EQ(arranged(ClassPosition::kMiddle),
            PromptText({{598}, c5, {7}, {8}, c6, c7, {269}, {599}}));
  EXPECT_EQ(arranged(ClassPosition::kFront),
            PromptText({{598}, {7}, {8}, c5, c6, c7, {269}, {599}}));
}

TEST(PromptTextTest, AFullStopWithinTheNamesLastTokenStaysWithTheName) {
  const TokenRow row = {598, 343, 7, 270, 599};
  EXPECT_EQ(*ArrangePrompt(row, 2, {1, ClassPosition::kFront, 0}),
            PromptText({{598}, {7}, {270}, {.context = 0}, {599}}));
}

TEST(PromptTextTest, RefusesARowThatEndsInsideTheContext) {
  const auto text = ArrangePrompt({598, 343, 599}, 0, {16});
  EXPECT_EQ(ErrorReason(text.status()), "BAD_TOKEN_ROW");
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

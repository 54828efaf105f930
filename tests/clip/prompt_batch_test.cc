// What a batch of prompts computes, keeps and refuses.
#include "clip/prompt_batch.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <memory>
#include <vector>

#include "clip/plain_text_encoder.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/clip/plain_prompt.h"
#include "tests/clip/random_text_tower.h"
#include "tests/clip/relative_error.h"

namespace promptd::clip {
namespace {

class PromptBatchTest : public ::testing::Test {
 protected:
  PromptBatchTest()
      : config_(TinyTextConfig(64, 4, 3, true)),
        weights_(RandomTextWeights(config_, 3)),
        tower_(std::make_shared<const TextTower>(weights_)) {}

  weights::EncoderConfig config_;
  TextWeights weights_;
  std::shared_ptr<const TextTower> tower_;
};

TEST_F(PromptBatchTest, RecomputedChunksGiveTheSameBytesAsSavedOnes) {
  for (const ContextOptions& options :
       {ContextOptions{4, ClassPosition::kEnd, false},
        ContextOptions{4, ClassPosition::kFront, false},
        ContextOptions{4, ClassPosition::kMiddle, true}}) {
    const Names names = NamesOfLengths(config_, 4, {3, 1, 8, 3, 2});
    const int64_t rows = ContextRows(names, options);
    const at::Tensor context = at::randn({rows, 64});
    const at::Tensor d_features = at::randn({6, 32});
    at::Tensor features[2], gradients[2];
    for (int i = 0; i < 2; ++i) {
      const auto batch = PromptBatch::Create(
          tower_, TextsOf(names, options), rows,
          {.max_chunk_rows = 12, .max_saved_bytes = i == 0 ? 1 << 30 : 0});
      ASSERT_TRUE(batch.ok());
      ASSERT_GT(batch->chunks(), 2);
      PromptState state;
      features[i] = batch->Forward(context, &state);
      EXPECT_EQ(state.chunks[0].layers.empty(), i == 1);
      gradients[i] = batch->Backward(d_features, &state);
    }
    EXPECT_TRUE(features[0].equal(features[1]));
    EXPECT_TRUE(gradients[0].equal(gradients[1]));
  }
}

TEST_F(PromptBatchTest, ChunkingLeavesClassSpecificGradientsAlone) {
  const ContextOptions options = {16, ClassPosition::kEnd, true};
  const Names names = NamesOfLengths(config_, 16, EveryLength());
  const int64_t rows = ContextRows(names, options);
  const at::Tensor context = at::randn({rows, 64});
  const at::Tensor d_features =
      at::randn({static_cast<int64_t>(names.rows.size()), 32});
  at::Tensor gradients[2];
  for (int i = 0; i < 2; ++i) {
    const auto batch = PromptBatch::Create(
        tower_, TextsOf(names, options), rows,
        {.max_chunk_rows = i == 0 ? 100'000 : 64, .max_saved_bytes = 0});
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->chunks() > 1, i == 1);
    PromptState state;
    batch->Forward(context, &state);
    gradients[i] = batch->Backward(d_features, &state);
  }
  EXPECT_LE(RelativeError(gradients[1], gradients[0]), 1e-6);
}

TEST_F(PromptBatchTest, OneClassEqualsThePlainPath) {
  for (const ClassPosition position :
       {ClassPosition::kEnd, ClassPosition::kMiddle, ClassPosition::kFront}) {
    const ContextOptions options = {4, position, false};
    const Names names = {{RandomPromptRow(config_, 4, 3, false, 5)}, {3}};
    const at::Tensor context = at::randn({4, 64}).mul_(0.3);
    const at::Tensor d_features = at::randn({1, 32});
    const auto batch =
        PromptBatch::Create(tower_, TextsOf(names, options), 4, {});
    ASSERT_TRUE(batch.ok());
    PromptState state;
    const at::Tensor features = batch->Forward(context, &state);
    const at::Tensor gradient = batch->Backward(d_features, &state);
    const PlainResult plain = PlainPrompt(weights_.To(at::kDouble), names,
                                          options, context, d_features);
    EXPECT_LE(RelativeError(features, plain.features), 1e-6);
    EXPECT_LE(RelativeError(gradient, plain.gradient), 1e-5);
  }
}

TEST_F(PromptBatchTest, FixedTextsEqualThePlainPath) {
  const std::vector<TokenRow> rows =
      NamesOfLengths(config_, 0, EveryLength()).rows;
  const auto features = EncodeTexts(tower_, rows);
  ASSERT_TRUE(features.ok()) << features.status();
  const at::NoGradGuard no_grad;
  EXPECT_LE(RelativeError(*features, EncodeTokens(weights_, PaddedIds(rows))),
            1e-6);
}

TEST_F(PromptBatchTest, FixedTextsWithALongSharedStartEqualThePlainPath) {
  // "a photo of a ..." shares its first words, one text is alone in the end.
  const std::vector<TokenRow> rows = NamesOfLengths(config_, 5, {2, 1, 2}).rows;
  for (const auto& some : {rows, std::vector<TokenRow>{rows[1]}}) {
    const auto features = EncodeTexts(tower_, some);
    ASSERT_TRUE(features.ok()) << features.status();
    const at::NoGradGuard no_grad;
    EXPECT_LE(RelativeError(*features, EncodeTokens(weights_, PaddedIds(some))),
              1e-6);
  }
}

TEST_F(PromptBatchTest, RefusesTextsOverTheContextLength) {
  const ContextOptions options = {60, ClassPosition::kEnd, false};
  const Names names = NamesOfLengths(config_, 60, {2, 20});
  const auto batch =
      PromptBatch::Create(tower_, TextsOf(names, options), 60, {});
  EXPECT_EQ(batch.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(batch.status()), "PROMPT_TOO_LONG");
}

TEST_F(PromptBatchTest, RefusesAnEmptyListOfClasses) {
  EXPECT_EQ(ErrorReason(PromptBatch::Create(tower_, {}, 4, {}).status()),
            "EMPTY_LABELS");
}

TEST_F(PromptBatchTest, RefusesTextsWithoutAnEnd) {
  for (const PromptText& text :
       {PromptText(), PromptText{{598}, {.context = 0}}}) {
    EXPECT_EQ(ErrorReason(PromptBatch::Create(tower_, {text}, 1, {}).status()),
              "BAD_TOKEN_ROW");
  }
}

TEST_F(PromptBatchTest, LeavesTheCallersContextAlone) {
  const ContextOptions options = {4, ClassPosition::kEnd, false};
  const Names names = NamesOfLengths(config_, 4, {3, 1});
  const at::Tensor context = at::randn({4, 64});
  const at::Tensor before = context.clone();
  const auto batch =
      PromptBatch::Create(tower_, TextsOf(names, options), 4, {});
  ASSERT_TRUE(batch.ok());
  PromptState state;
  batch->Forward(context, &state);
  batch->Backward(at::randn({3, 32}), &state);
  EXPECT_TRUE(context.equal(before));
  EXPECT_EQ(state.context_gradient.sizes(), context.sizes());
}

TEST_F(PromptBatchTest, RunsOnlyWhatTheContextReaches) {
  struct {
    ContextOptions options;
    int64_t rows;
  } const cases[] = {
      // SOT and 16 context tokens once, then name, dot and EOT per class.
      {{16, ClassPosition::kEnd, false}, 17 + 4 + 4 + 5},
      // SOT and 8 once, then name, 8, dot and EOT per class.
      {{16, ClassPosition::kMiddle, false}, 9 + 12 + 12 + 13},
      // SOT and names are constants.
      {{16, ClassPosition::kFront, false}, 18 + 18 + 17},
      {{16, ClassPosition::kEnd, true}, 20 + 20 + 21},
      {{16, ClassPosition::kFront, true}, 18 + 18 + 17}};
  for (const auto& c : cases) {
    const Names names = NamesOfLengths(config_, 16, {2, 2});
    const auto batch = PromptBatch::Create(tower_, TextsOf(names, c.options),
                                           ContextRows(names, c.options), {});
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->rows(), c.rows)
        << ChoiceName(c.options.position) << c.options.class_specific;
  }
}

}  // namespace
}  // namespace promptd::clip

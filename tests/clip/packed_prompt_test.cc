// The packed prompt path against CLIP's plain 77-token path with autograd.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <ostream>
#include <vector>

#include "clip/plain_text_encoder.h"
#include "clip/prompt_batch.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/clip/random_text_tower.h"

namespace promptd::clip {
namespace {

constexpr int64_t kContextLength = 77;

double RelativeError(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor exact = b.to(at::kDouble);
  const at::Tensor difference = a.to(at::kDouble).sub(exact);
  return difference.abs().max().div(exact.abs().max()).item().toDouble();
}

// [C, 77] int64, zero-padded.
at::Tensor PaddedIds(const std::vector<TokenRow>& rows) {
  std::vector<int64_t> ids;
  for (const TokenRow& row : rows) {
    ids.insert(ids.end(), row.begin(), row.end());
    ids.insert(ids.end(), kContextLength - row.size(), 0);
  }
  return at::tensor(ids).view(
      {static_cast<int64_t>(rows.size()), kContextLength});
}

struct Reference {
  at::Tensor features;  // [C, E]
  at::Tensor gradient;  // [M, W]
};

// CoOp's own way: embed the full rows, replace tokens 1..M, run 77 tokens,
// back-propagate.
Reference PlainPrompt(const TextWeights& tower,
                      const std::vector<TokenRow>& rows,
                      const at::Tensor& context, const at::Tensor& d_features) {
  const at::Tensor ids = PaddedIds(rows);
  const int64_t classes = ids.size(0), m = context.size(0);
  const auto type = tower.text_projection.scalar_type();
  const at::Tensor learned =
      context.to(type).detach().clone().requires_grad_(true);
  const at::Tensor embedded = EmbedTokens(tower, ids);
  const at::Tensor assembled =
      at::cat({embedded.narrow(1, 0, 1),
               learned.unsqueeze(0).expand({classes, m, context.size(1)}),
               embedded.narrow(1, 1 + m, kContextLength - 1 - m)},
              1);
  Reference reference;
  reference.features = EncodeEmbedded(tower, assembled, ids.argmax(-1));
  reference.features.backward(d_features.to(type));
  reference.gradient = learned.grad();
  reference.features = reference.features.detach();
  return reference;
}

// Names of the given token counts, and one of 4 tokens that ends in ")".
std::vector<TokenRow> RowsOfLengths(const weights::EncoderConfig& config,
                                    int context_tokens,
                                    const std::vector<int>& lengths) {
  std::vector<TokenRow> rows;
  for (const int length : lengths) {
    rows.push_back(
        RandomPromptRow(config, context_tokens, length, false, rows.size()));
  }
  rows.push_back(RandomPromptRow(config, context_tokens, 4, true, 99));
  return rows;
}

// 20 .. 1 and two names of three tokens.
std::vector<int> EveryLength() {
  std::vector<int> lengths = {3};
  for (int length = 20; length >= 1; --length) lengths.push_back(length);
  return lengths;
}

struct Case {
  int width;
  int heads;
  int layers;
  bool quick_gelu;
  int context_tokens;
  int64_t max_chunk_rows;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << "width " << c.width << " layers " << c.layers << " M "
       << c.context_tokens << " chunk rows " << c.max_chunk_rows;
}

class PackedPromptTest : public ::testing::TestWithParam<Case> {};

TEST_P(PackedPromptTest, EqualsThePlainPathForwardAndBackward) {
  const Case c = GetParam();
  const weights::EncoderConfig config =
      TinyTextConfig(c.width, c.heads, c.layers, c.quick_gelu);
  const TextWeights weights = RandomTextWeights(config, 7);
  const auto tower = std::make_shared<const TextTower>(weights);
  const bool wide = c.width == 512;
  const std::vector<TokenRow> rows =
      RowsOfLengths(config, c.context_tokens,
                    wide ? std::vector<int>{20, 3, 1, 3, 2, 7} : EveryLength());
  const at::Tensor context = at::randn({c.context_tokens, c.width}).mul_(0.3);
  const at::Tensor d_features =
      at::randn({static_cast<int64_t>(rows.size()), config.embed_dim});

  const auto batch = PromptBatch::Create(tower, rows, c.context_tokens,
                                         {.max_chunk_rows = c.max_chunk_rows});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->chunks() > 1, c.max_chunk_rows < 100);
  PromptState state;
  const at::Tensor features = batch->Forward(context, &state);
  const at::Tensor gradient = batch->Backward(d_features, &state);

  const Reference exact =
      PlainPrompt(weights.To(at::kDouble), rows, context, d_features);
  EXPECT_LE(RelativeError(features, exact.features), 1e-6);
  EXPECT_LE(RelativeError(gradient, exact.gradient), 1e-5);
  const Reference plain = PlainPrompt(weights, rows, context, d_features);
  // At width 512 the float32 reference is itself up to 8e-7 off the exact
  // value, as the packed path is: their difference may be a little more.
  EXPECT_LE(RelativeError(features, plain.features), wide ? 1.2e-6 : 1e-6);
  EXPECT_LE(RelativeError(gradient, plain.gradient), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PackedPromptTest,
    ::testing::Values(
        Case{64, 4, 2, true, 1, 4096}, Case{64, 4, 2, true, 4, 4096},
        Case{64, 4, 2, true, 16, 4096}, Case{64, 4, 2, false, 4, 4096},
        Case{96, 3, 3, false, 16, 40},  // 1/sqrt(32) in q
        Case{64, 4, 1, true, 4, 4096},  // one block only
        Case{64, 4, 1, true, 4, 40}, Case{512, 8, 3, true, 1, 4096},
        Case{512, 8, 3, true, 4, 4096}, Case{512, 8, 3, true, 16, 4096},
        Case{512, 8, 3, true, 16, 32}));

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
  const std::vector<TokenRow> rows = RowsOfLengths(config_, 4, {3, 1, 8, 3, 2});
  const at::Tensor context = at::randn({4, 64});
  const at::Tensor d_features = at::randn({6, 32});
  at::Tensor features[2], gradients[2];
  for (int i = 0; i < 2; ++i) {
    const auto batch = PromptBatch::Create(
        tower_, rows, 4,
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

TEST_F(PromptBatchTest, FixedTextsEqualThePlainPath) {
  std::vector<TokenRow> rows = RowsOfLengths(config_, 0, EveryLength());
  const auto features = EncodeTexts(tower_, rows);
  ASSERT_TRUE(features.ok()) << features.status();
  const at::NoGradGuard no_grad;
  EXPECT_LE(RelativeError(*features, EncodeTokens(weights_, PaddedIds(rows))),
            1e-6);
}

TEST_F(PromptBatchTest, FixedTextsWithALongSharedStartEqualThePlainPath) {
  // "a photo of a ..." shares its first words, one text is alone in the end.
  const std::vector<TokenRow> rows = RowsOfLengths(config_, 5, {2, 1, 2});
  for (const auto& some : {rows, std::vector<TokenRow>{rows[1]}}) {
    const auto features = EncodeTexts(tower_, some);
    ASSERT_TRUE(features.ok()) << features.status();
    const at::NoGradGuard no_grad;
    EXPECT_LE(RelativeError(*features, EncodeTokens(weights_, PaddedIds(some))),
              1e-6);
  }
}

TEST_F(PromptBatchTest, RefusesTextsOverTheContextLength) {
  const auto batch =
      PromptBatch::Create(tower_, RowsOfLengths(config_, 60, {2, 20}), 60, {});
  EXPECT_EQ(batch.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(batch.status()), "PROMPT_TOO_LONG");
}

TEST_F(PromptBatchTest, RefusesAnEmptyListOfClasses) {
  EXPECT_EQ(ErrorReason(PromptBatch::Create(tower_, {}, 4, {}).status()),
            "EMPTY_LABELS");
}

TEST_F(PromptBatchTest, RefusesARowThatEndsInsideTheContext) {
  const auto batch =
      PromptBatch::Create(tower_, RowsOfLengths(config_, 1, {1}), 16, {});
  EXPECT_EQ(ErrorReason(batch.status()), "BAD_TOKEN_ROW");
}

TEST_F(PromptBatchTest, LeavesTheCallersContextAlone) {
  const std::vector<TokenRow> rows = RowsOfLengths(config_, 4, {3, 1});
  const at::Tensor context = at::randn({4, 64});
  const at::Tensor before = context.clone();
  const auto batch = PromptBatch::Create(tower_, rows, 4, {});
  ASSERT_TRUE(batch.ok());
  PromptState state;
  batch->Forward(context, &state);
  batch->Backward(at::randn({3, 32}), &state);
  EXPECT_TRUE(context.equal(before));
  EXPECT_EQ(state.context_gradient.sizes(), context.sizes());
}

TEST_F(PromptBatchTest, SharesThePrefixAcrossClasses) {
  const auto batch =
      PromptBatch::Create(tower_, RowsOfLengths(config_, 16, {2, 2}), 16, {});
  ASSERT_TRUE(batch.ok());
  // SOT and 16 context tokens once, then name, dot and EOT per class.
  EXPECT_EQ(batch->rows(), 17 + 4 + 4 + 5);
}

}  // namespace
}  // namespace promptd::clip

// The packed prompt path against CLIP's plain 77-token path with autograd.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
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

struct Names {
  std::vector<TokenRow> rows;   // tokenised with placeholders
  std::vector<int64_t> tokens;  // of the name alone
};

// Names of the given token counts, and one of 4 tokens that ends in ")".
Names NamesOfLengths(const weights::EncoderConfig& config, int context_tokens,
                     const std::vector<int>& lengths) {
  Names names;
  for (const int length : lengths) {
    names.rows.push_back(RandomPromptRow(config, context_tokens, length, false,
                                         names.rows.size()));
    names.tokens.push_back(length);
  }
  names.rows.push_back(RandomPromptRow(config, context_tokens, 4, true, 99));
  names.tokens.push_back(4);
  return names;
}

struct Options {
  int64_t context_tokens = 4;  // M
  ClassPosition position = ClassPosition::kEnd;
  bool class_specific = false;
};

std::vector<PromptText> TextsOf(const Names& names, const Options& options) {
  std::vector<PromptText> texts;
  for (size_t c = 0; c < names.rows.size(); ++c) {
    const int64_t first = options.class_specific
                              ? static_cast<int64_t>(c) * options.context_tokens
                              : 0;
    const auto text =
        ArrangePrompt(names.rows[c], names.tokens[c],
                      {options.context_tokens, options.position, first});
    EXPECT_TRUE(text.ok()) << text.status();
    texts.push_back(*text);
  }
  return texts;
}

// K, rows of the context parameter.
int64_t ContextRows(const Names& names, const Options& options) {
  return options.context_tokens *
         (options.class_specific ? static_cast<int64_t>(names.rows.size()) : 1);
}

struct Reference {
  at::Tensor features;  // [C, E]
  at::Tensor gradient;  // [K, W]
};

// CoOp's own way: embed the full rows, put prefix, context and class slices
// together, run 77 tokens, back-propagate.
Reference PlainPrompt(const TextWeights& tower, const Names& names,
                      const Options& options, const at::Tensor& context,
                      const at::Tensor& d_features) {
  const at::Tensor ids = PaddedIds(names.rows);
  const int64_t classes = ids.size(0), m = options.context_tokens;
  const auto type = tower.text_projection.scalar_type();
  const at::Tensor learned =
      context.to(type).detach().clone().requires_grad_(true);
  const at::Tensor embedded = EmbedTokens(tower, ids);
  std::vector<at::Tensor> prompts;
  for (int64_t c = 0; c < classes; ++c) {
    const at::Tensor row = embedded[c];
    const at::Tensor ctx =
        learned.narrow(0, options.class_specific ? c * m : 0, m);
    const int64_t before = options.position == ClassPosition::kEnd      ? m
                           : options.position == ClassPosition::kMiddle ? m / 2
                                                                        : 0;
    const int64_t name = names.tokens[c];
    prompts.push_back(
        at::cat({row.narrow(0, 0, 1), ctx.narrow(0, 0, before),
                 row.narrow(0, 1 + m, name), ctx.narrow(0, before, m - before),
                 row.narrow(0, 1 + m + name, kContextLength - 1 - m - name)}));
  }
  Reference reference;
  reference.features =
      EncodeEmbedded(tower, at::stack(prompts), ids.argmax(-1));
  reference.features.backward(d_features.to(type));
  reference.gradient = learned.grad();
  reference.features = reference.features.detach();
  return reference;
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
  Options options;
  int64_t max_chunk_rows;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << "width " << c.width << " layers " << c.layers << " M "
       << c.options.context_tokens << " name at "
       << ChoiceName(c.options.position)
       << (c.options.class_specific ? " class-specific" : " unified")
       << " chunk rows " << c.max_chunk_rows;
}

class PackedPromptTest : public ::testing::TestWithParam<Case> {};

TEST_P(PackedPromptTest, EqualsThePlainPathForwardAndBackward) {
  const Case c = GetParam();
  const weights::EncoderConfig config =
      TinyTextConfig(c.width, c.heads, c.layers, c.quick_gelu);
  const TextWeights weights = RandomTextWeights(config, 7);
  const auto tower = std::make_shared<const TextTower>(weights);
  const bool wide = c.width == 512;
  const Names names = NamesOfLengths(
      config, static_cast<int>(c.options.context_tokens),
      wide ? std::vector<int>{20, 3, 1, 3, 2, 7} : EveryLength());
  const int64_t rows = ContextRows(names, c.options);
  const at::Tensor context = at::randn({rows, c.width}).mul_(0.3);
  const at::Tensor d_features =
      at::randn({static_cast<int64_t>(names.rows.size()), config.embed_dim});

  const auto batch = PromptBatch::Create(tower, TextsOf(names, c.options), rows,
                                         {.max_chunk_rows = c.max_chunk_rows});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->chunks() > 1, c.max_chunk_rows < 100);
  PromptState state;
  const at::Tensor features = batch->Forward(context, &state);
  const at::Tensor gradient = batch->Backward(d_features, &state);

  const Reference exact = PlainPrompt(weights.To(at::kDouble), names, c.options,
                                      context, d_features);
  EXPECT_LE(RelativeError(features, exact.features), 1e-6);
  EXPECT_LE(RelativeError(gradient, exact.gradient), 1e-5);
  const Reference plain =
      PlainPrompt(weights, names, c.options, context, d_features);
  // At width 512 the float32 reference is itself up to 8e-7 off the exact
  // value, as the packed path is: their difference may be a little more.
  EXPECT_LE(RelativeError(features, plain.features), wide ? 1.2e-6 : 1e-6);
  EXPECT_LE(RelativeError(gradient, plain.gradient), 1e-5);
}

std::vector<Case> Cases() {
  const Options four = {4, ClassPosition::kEnd, false};
  const Options sixteen = {16, ClassPosition::kEnd, false};
  std::vector<Case> cases = {{64, 4, 2, false, four, 4096},
                             {96, 3, 3, false, sixteen, 40},
                             {64, 4, 1, true, four, 4096},  // one block only
                             {64, 4, 1, true, four, 40},
                             {512, 8, 3, true, sixteen, 32}};
  for (const bool class_specific : {false, true}) {
    for (const ClassPosition position :
         {ClassPosition::kEnd, ClassPosition::kMiddle, ClassPosition::kFront}) {
      for (const int64_t tokens : {1, 4, 16}) {
        const Options options = {tokens, position, class_specific};
        cases.push_back({64, 4, 2, true, options, 4096});
        cases.push_back({512, 8, 3, true, options, 4096});
      }
      const Options chunked = {4, position, class_specific};
      cases.push_back({96, 3, 3, false, chunked, 40});  // 1/sqrt(32) in q
      cases.push_back({64, 4, 1, true, chunked, 30});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, PackedPromptTest, ::testing::ValuesIn(Cases()));

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
  for (const Options& options : {Options{4, ClassPosition::kEnd, false},
                                 Options{4, ClassPosition::kFront, false},
                                 Options{4, ClassPosition::kMiddle, true}}) {
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
  const Options options = {16, ClassPosition::kEnd, true};
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
    const Options options = {4, position, false};
    const Names names = {{RandomPromptRow(config_, 4, 3, false, 5)}, {3}};
    const at::Tensor context = at::randn({4, 64}).mul_(0.3);
    const at::Tensor d_features = at::randn({1, 32});
    const auto batch =
        PromptBatch::Create(tower_, TextsOf(names, options), 4, {});
    ASSERT_TRUE(batch.ok());
    PromptState state;
    const at::Tensor features = batch->Forward(context, &state);
    const at::Tensor gradient = batch->Backward(d_features, &state);
    const Reference plain = PlainPrompt(weights_.To(at::kDouble), names,
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
  const Options options = {60, ClassPosition::kEnd, false};
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
  const Options options = {4, ClassPosition::kEnd, false};
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
    Options options;
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

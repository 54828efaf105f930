// The packed prompt path against CLIP's plain 77-token path with autograd.
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>

#include <memory>
#include <ostream>
#include <vector>

#include "clip/prompt_batch.h"
#include "gtest/gtest.h"
#include "tests/clip/plain_prompt.h"
#include "tests/clip/random_text_tower.h"
#include "tests/clip/relative_error.h"

namespace promptd::clip {
namespace {

struct PromptCase {
  int width;
  int heads;
  int layers;
  bool quick_gelu;
  ContextOptions options;
  int64_t max_chunk_rows;
};

void PrintTo(const PromptCase& c, std::ostream* out) {
  *out << "width " << c.width << " layers " << c.layers << " M "
       << c.options.context_tokens << " name at "
       << ChoiceName(c.options.position)
       << (c.options.class_specific ? " class-specific" : " unified")
       << " chunk rows " << c.max_chunk_rows;
}

class PackedPromptTest : public ::testing::TestWithParam<PromptCase> {};

TEST_P(PackedPromptTest, EqualsThePlainPathForwardAndBackward) {
  const PromptCase c = GetParam();
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

  const PlainResult exact = PlainPrompt(weights.To(at::kDouble), names,
                                        c.options, context, d_features);
  EXPECT_LE(RelativeError(features, exact.features), 1e-6);
  EXPECT_LE(RelativeError(gradient, exact.gradient), 1e-5);
  const PlainResult plain =
      PlainPrompt(weights, names, c.options, context, d_features);
  // At width 512 the float32 reference is itself up to 8e-7 off the exact
  // value, as the packed path is: their difference may be a little more.
  EXPECT_LE(RelativeError(features, plain.features), wide ? 1.2e-6 : 1e-6);
  EXPECT_LE(RelativeError(gradient, plain.gradient), 1e-5);
}

std::vector<PromptCase> Cases() {
  const ContextOptions four = {4, ClassPosition::kEnd, false};
  const ContextOptions sixteen = {16, ClassPosition::kEnd, false};
  std::vector<PromptCase> cases = {
      {64, 4, 2, false, four, 4096},
      {96, 3, 3, false, sixteen, 40},
      {64, 4, 1, true, four, 4096},  // one block only
      {64, 4, 1, true, four, 40},
      {512, 8, 3, true, sixteen, 32}};
  for (const bool class_specific : {false, true}) {
    for (const ClassPosition position :
         {ClassPosition::kEnd, ClassPosition::kMiddle, ClassPosition::kFront}) {
      for (const int64_t tokens : {1, 4, 16}) {
        const ContextOptions options = {tokens, position, class_specific};
        cases.push_back({64, 4, 2, true, options, 4096});
        cases.push_back({512, 8, 3, true, options, 4096});
      }
      const ContextOptions chunked = {4, position, class_specific};
      cases.push_back({96, 3, 3, false, chunked, 40});  // 1/sqrt(32) in q
      cases.push_back({64, 4, 1, true, chunked, 30});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, PackedPromptTest, ::testing::ValuesIn(Cases()));

}  // namespace
}  // namespace promptd::clip

#include "tests/clip/plain_prompt.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "clip/plain_text_encoder.h"
#include "gtest/gtest.h"
#include "tests/clip/random_text_tower.h"

namespace promptd::clip {

constexpr int64_t kContextLength = 77;

at::Tensor PaddedIds(const std::vector<TokenRow>& rows) {
  std::vector<int64_t> ids;
  for (const TokenRow& row : rows) {
    ids.insert(ids.end(), row.begin(), row.end());
    ids.insert(ids.end(), kContextLength - row.size(), 0);
  }
  return at::tensor(ids).view(
      {static_cast<int64_t>(rows.size()), kContextLength});
}

std::vector<int> EveryLength() {
  std::vector<int> lengths = {3};
  for (int length = 20; length >= 1; --length) lengths.push_back(length);
  return lengths;
}

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

std::vector<PromptText> TextsOf(const Names& names,
                                const ContextOptions& options) {
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

int64_t ContextRows(const Names& names, const ContextOptions& options) {
  return options.context_tokens *
         (options.class_specific ? static_cast<int64_t>(names.rows.size()) : 1);
}

PlainResult PlainPrompt(const TextWeights& tower, const Names& names,
                        const ContextOptions& options,
                        const at::Tensor& context,
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
  PlainResult reference;
  reference.features =
      EncodeEmbedded(tower, at::stack(prompts), ids.argmax(-1));
  reference.features.backward(d_features.to(type));
  reference.gradient = learned.grad();
  reference.features = reference.features.detach();
  return reference;
}

}  // namespace promptd::clip

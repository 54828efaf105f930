// CoOp's prompts on CLIP's plain 77-token path with autograd: what the packed
// path is checked against.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "clip/prompt_text.h"
#include "clip/text_weights.h"
#include "weights/encoder_config.h"

namespace promptd::clip {

// [C, 77] int64, zero-padded.
at::Tensor PaddedIds(const std::vector<TokenRow>& rows);

struct Names {
  std::vector<TokenRow> rows;   // tokenised with placeholders
  std::vector<int64_t> tokens;  // of the name alone
};

// Names of the given token counts, and one of 4 tokens that ends in ")".
Names NamesOfLengths(const weights::EncoderConfig& config, int context_tokens,
                     const std::vector<int>& lengths);
// 20 .. 1 and two names of three tokens.
std::vector<int> EveryLength();

struct ContextOptions {
  int64_t context_tokens = 4;  // M
  ClassPosition position = ClassPosition::kEnd;
  bool class_specific = false;
};

std::vector<PromptText> TextsOf(const Names& names,
                                const ContextOptions& options);
// K, rows of the context parameter.
int64_t ContextRows(const Names& names, const ContextOptions& options);

struct PlainResult {
  at::Tensor features;  // [C, E]
  at::Tensor gradient;  // [K, W]
};

// CoOp's own way: embed the full rows, put prefix, context and class slices
// together, run 77 tokens, back-propagate. In the type of `tower`.
PlainResult PlainPrompt(const TextWeights& tower, const Names& names,
                        const ContextOptions& options,
                        const at::Tensor& context,
                        const at::Tensor& d_features);

}  // namespace promptd::clip

// CLIP's text tower as its authors wrote it: every token of every text, plain
// ATen operators, differentiable. The reference that the packed path is
// checked against; slow.
#pragma once

#include <ATen/core/Tensor.h>

#include "clip/text_weights.h"

namespace promptd::clip {

// ids [B, L] int64 -> token embeddings [B, L, W], positions not yet added.
at::Tensor EmbedTokens(const TextWeights& tower, const at::Tensor& ids);

// embedded [B, L, W] (L up to the context length) and eot [B] int64 -> text
// features [B, E], not normalised. Follows openai/CLIP model.py encode_text:
// x + positions, causal blocks, ln_final, the EOT row, text_projection.
at::Tensor EncodeEmbedded(const TextWeights& tower, const at::Tensor& embedded,
                          const at::Tensor& eot);

// The whole of encode_text: EOT is the position of a row's largest id.
at::Tensor EncodeTokens(const TextWeights& tower, const at::Tensor& ids);

}  // namespace promptd::clip

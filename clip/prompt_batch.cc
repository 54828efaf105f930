#include "clip/prompt_batch.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <numeric>
#include <utility>

#include "clip/torch_status.h"
#include "common/status_macros.h"

namespace promptd::clip {

absl::StatusOr<PromptBatch> PromptBatch::Create(
    std::shared_ptr<const TextTower> tower, const std::vector<TokenRow>& rows,
    int64_t context_tokens, const PromptOptions& options) {
  const int64_t prefix =
      context_tokens > 0 ? context_tokens + 1 : SharedPrefix(rows);
  ASSIGN_OR_RETURN(PromptLayout layout,
                   MakePromptLayout(rows, prefix, tower->context_length(),
                                    options.max_chunk_rows));
  return Guarded("pack the prompts", [&]() -> absl::StatusOr<PromptBatch> {
    const at::NoGradGuard no_grad;
    PromptBatch batch;
    batch.tower_ = std::move(tower);
    batch.classes_ = layout.classes;
    batch.context_tokens_ = context_tokens;
    batch.rows_ = prefix;
    const int64_t fixed = context_tokens > 0 ? 1 : prefix;
    if (fixed > 0) {
      std::vector<int64_t> positions(fixed);
      std::iota(positions.begin(), positions.end(), 0);
      batch.fixed_prefix_ = batch.tower_->Embed(
          {rows[0].begin(), rows[0].begin() + fixed}, positions);
    }
    batch.context_positions_ =
        batch.tower_->positional_embedding().narrow(0, 1, context_tokens);
    int64_t saved_bytes = 0;
    for (PromptChunk& chunk : layout.chunks) {
      batch.rows_ += chunk.rows();
      batch.passes_.emplace_back(batch.tower_.get(), std::move(chunk),
                                 batch.passes_.empty() ? prefix : 0);
      saved_bytes += batch.passes_.back().saved_bytes();
      batch.keep_.push_back(context_tokens > 0 &&
                            saved_bytes <= options.max_saved_bytes);
    }
    return batch;
  });
}

at::Tensor PromptBatch::PrefixInput(const PromptState& state) const {
  if (context_tokens_ == 0) return fixed_prefix_;
  return at::cat({fixed_prefix_, state.context.add(context_positions_)});
}

void PromptBatch::Begin(const at::Tensor& context, PromptState* state) const {
  const at::NoGradGuard no_grad;
  if (context_tokens_ > 0) {
    TORCH_CHECK(context.dim() == 2 && context.size(0) == context_tokens_ &&
                    context.size(1) == tower_->width(),
                "context has shape ", context.sizes());
    state->context = context.detach();
  }
  state->features = at::empty({classes_, tower_->embed_dim()},
                              tower_->token_embedding().options());
  state->context_gradient = at::Tensor();
  state->keys.clear();
  state->d_keys.clear();
  state->chunks.assign(passes_.size(), {});
}

void PromptBatch::ForwardChunk(int64_t chunk, PromptState* state) const {
  const at::NoGradGuard no_grad;
  const PromptPass& pass = passes_[chunk];
  const at::Tensor prefix = chunk == 0 ? PrefixInput(*state) : at::Tensor();
  ChunkSaved saved;
  const at::Tensor features = pass.Forward(prefix, &state->keys, &saved);
  state->features.index_copy_(0, pass.class_index(), features);
  if (keep_[chunk]) state->chunks[chunk] = std::move(saved);
}

void PromptBatch::BackwardChunk(int64_t chunk, const at::Tensor& d_features,
                                PromptState* state) const {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(context_tokens_ > 0, "fixed texts have no gradient");
  const PromptPass& pass = passes_[chunk];
  ChunkSaved saved = std::move(state->chunks[chunk]);
  if (saved.layers.empty()) {
    const at::Tensor prefix = chunk == 0 ? PrefixInput(*state) : at::Tensor();
    pass.Forward(prefix, &state->keys, &saved);
  }
  const at::Tensor d_prefix =
      pass.Backward(d_features.index_select(0, pass.class_index()), state->keys,
                    saved, &state->d_keys);
  if (chunk == 0) {
    state->context_gradient =
        d_prefix.narrow(0, 1, context_tokens_).contiguous();
  }
}

at::Tensor PromptBatch::Forward(const at::Tensor& context,
                                PromptState* state) const {
  Begin(context, state);
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    ForwardChunk(chunk, state);
  }
  return state->features;
}

at::Tensor PromptBatch::Backward(const at::Tensor& d_features,
                                 PromptState* state) const {
  for (int64_t chunk = chunks() - 1; chunk >= 0; --chunk) {
    BackwardChunk(chunk, d_features, state);
  }
  return state->context_gradient;
}

absl::StatusOr<at::Tensor> EncodeTexts(std::shared_ptr<const TextTower> tower,
                                       const std::vector<TokenRow>& rows) {
  ASSIGN_OR_RETURN(const PromptBatch batch,
                   PromptBatch::Create(std::move(tower), rows, 0, {}));
  return Guarded("encode texts", [&]() -> absl::StatusOr<at::Tensor> {
    PromptState state;
    return batch.Forward(at::Tensor(), &state);
  });
}

}  // namespace promptd::clip

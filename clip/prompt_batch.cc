#include "clip/prompt_batch.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <utility>

#include "clip/torch_status.h"
#include "common/status_macros.h"

namespace promptd::clip {

namespace {

// Keys and values by layer of a prefix in which nothing is learned.
PrefixKeysByLayer ConstantKeys(const TextTower& tower,
                               const PromptText& prefix) {
  PrefixKeysByLayer keys;
  if (prefix.empty()) return keys;
  // A pass wants a text behind the prefix: any token does.
  PromptChunk chunk;
  chunk.classes = {0};
  chunk.groups = {{.length = 1, .count = 1}};
  chunk.items = {prefix[0]};
  chunk.positions = {static_cast<int64_t>(prefix.size())};
  chunk.eot_rows = {0};
  ChunkSaved unused;
  PromptPass(&tower, std::move(chunk), prefix, {})
      .Forward(at::Tensor(), &keys, &unused);
  return keys;
}

}  // namespace

absl::StatusOr<PromptBatch> PromptBatch::Create(
    std::shared_ptr<const TextTower> tower,
    const std::vector<PromptText>& texts, int64_t context_rows,
    const PromptOptions& options) {
  ASSIGN_OR_RETURN(
      PromptLayout layout,
      MakePromptLayout(texts, tower->context_length(), options.max_chunk_rows));
  return Guarded("pack the prompts", [&]() -> absl::StatusOr<PromptBatch> {
    const at::NoGradGuard no_grad;
    PromptBatch batch;
    batch.tower_ = std::move(tower);
    batch.classes_ = layout.classes;
    batch.context_rows_ = context_rows;
    batch.constant_prefix_ = layout.constant_prefix;
    if (layout.constant_prefix) {
      batch.constant_keys_ = ConstantKeys(*batch.tower_, layout.prefix);
    } else {
      batch.rows_ = static_cast<int64_t>(layout.prefix.size());
    }
    int64_t saved_bytes = 0;
    for (PromptChunk& chunk : layout.chunks) {
      batch.rows_ += chunk.rows();
      const bool with_prefix = batch.passes_.empty() && !layout.constant_prefix;
      batch.passes_.emplace_back(batch.tower_.get(), std::move(chunk),
                                 with_prefix ? layout.prefix : PromptText(),
                                 batch.constant_keys_);
      saved_bytes += batch.passes_.back().saved_bytes();
      batch.keep_.push_back(context_rows > 0 &&
                            saved_bytes <= options.max_saved_bytes);
    }
    return batch;
  });
}

void PromptBatch::Begin(const at::Tensor& context, PromptState* state) const {
  const at::NoGradGuard no_grad;
  if (context_rows_ > 0) {
    TORCH_CHECK(context.dim() == 2 && context.size(0) == context_rows_ &&
                    context.size(1) == tower_->width(),
                "context has shape ", context.sizes());
    state->context = context.detach();
  }
  state->features = at::empty({classes_, tower_->embed_dim()},
                              tower_->token_embedding().options());
  state->context_gradient = at::Tensor();
  state->keys = constant_keys_;
  state->d_keys.clear();
  state->chunks.assign(passes_.size(), {});
}

void PromptBatch::ForwardChunk(int64_t chunk, PromptState* state) const {
  const at::NoGradGuard no_grad;
  const PromptPass& pass = passes_[chunk];
  ChunkSaved saved;
  const at::Tensor features =
      pass.Forward(state->context, &state->keys, &saved);
  state->features.index_copy_(0, pass.class_index(), features);
  if (keep_[chunk]) state->chunks[chunk] = std::move(saved);
}

void PromptBatch::BackwardChunk(int64_t chunk, const at::Tensor& d_features,
                                PromptState* state) const {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(context_rows_ > 0, "fixed texts have no gradient");
  const PromptPass& pass = passes_[chunk];
  ChunkSaved saved = std::move(state->chunks[chunk]);
  if (saved.layers.empty()) {
    pass.Forward(state->context, &state->keys, &saved);
  }
  if (!state->context_gradient.defined()) {
    state->context_gradient = at::zeros_like(state->context);
  }
  pass.Backward(d_features.index_select(0, pass.class_index()), state->keys,
                saved, constant_prefix_ ? nullptr : &state->d_keys,
                state->context_gradient);
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
  std::vector<PromptText> texts;
  texts.reserve(rows.size());
  for (const TokenRow& row : rows) texts.push_back(FixedText(row));
  ASSIGN_OR_RETURN(const PromptBatch batch,
                   PromptBatch::Create(std::move(tower), texts, 0, {}));
  return Guarded("encode texts", [&]() -> absl::StatusOr<at::Tensor> {
    PromptState state;
    return batch.Forward(at::Tensor(), &state);
  });
}

}  // namespace promptd::clip

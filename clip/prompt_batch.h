// Text features of class names with a learned context, and the gradient of
// that context. Exact: equal to CLIP's 77-token path up to rounding.
//
//   ASSIGN_OR_RETURN(const PromptBatch batch,
//                    PromptBatch::Create(tower, texts, context_rows, {}));
//   PromptState state;
//   const at::Tensor features = batch.Forward(context, &state);    // [C, E]
//   ...                                       // d_features from the loss
//   const at::Tensor gradient = batch.Backward(d_features, &state);  // [K, W]
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "clip/prompt_layout.h"
#include "clip/prompt_pass.h"
#include "clip/text_tower.h"

namespace promptd::clip {

// What one forward leaves behind for its backward. Owned by the caller; may be
// reused for the next step.
struct PromptState {
  at::Tensor context;           // [K, W]
  at::Tensor features;          // [C, E], not normalised
  at::Tensor context_gradient;  // [K, W], after the last BackwardChunk
  PrefixKeysByLayer keys;
  PrefixKeysByLayer d_keys;
  std::vector<ChunkSaved> chunks;  // empty layers: recomputed when needed
};

struct PromptOptions {
  // Rows that go through the tower at once; bounds the time of a chunk.
  int64_t max_chunk_rows = 256;
  // Chunks beyond this much saved state are computed again in the backward.
  int64_t max_saved_bytes = int64_t{1} << 30;
};

// The constants of one list of texts on one tower, built once: packed layout,
// embeddings, and whatever of the tower no context reaches. Immutable. All
// functions throw c10::Error, take their own no-grad guard and are called by
// the device thread only.
class PromptBatch {
 public:
  // One text a class. `context_rows` is K, the rows of the context parameter:
  // every text shows the same ones (a context that classes share) or its own
  // (a class-specific one). K = 0: the texts are fixed and have no gradient.
  // INVALID_ARGUMENT (EMPTY_LABELS, PROMPT_TOO_LONG, BAD_TOKEN_ROW).
  static absl::StatusOr<PromptBatch> Create(
      std::shared_ptr<const TextTower> tower,
      const std::vector<PromptText>& texts, int64_t context_rows,
      const PromptOptions& options);

  int64_t classes() const { return classes_; }            // C
  int64_t context_rows() const { return context_rows_; }  // K
  int64_t chunks() const { return static_cast<int64_t>(passes_.size()); }
  // Rows that run through the tower in a pass, a shared prefix included.
  int64_t rows() const { return rows_; }
  const TextTower& tower() const { return *tower_; }

  // A pass in bounded units: Begin, ForwardChunk for 0 .. chunks()-1 in order,
  // then state->features is complete; BackwardChunk for chunks()-1 .. 0 with
  // the gradient of all features [C, E], then state->context_gradient is.
  // context [K, W]; undefined when K = 0.
  void Begin(const at::Tensor& context, PromptState* state) const;
  void ForwardChunk(int64_t chunk, PromptState* state) const;
  void BackwardChunk(int64_t chunk, const at::Tensor& d_features,
                     PromptState* state) const;

  // All chunks at once.
  at::Tensor Forward(const at::Tensor& context, PromptState* state) const;
  at::Tensor Backward(const at::Tensor& d_features, PromptState* state) const;

 private:
  PromptBatch() = default;

  std::shared_ptr<const TextTower> tower_;
  int64_t classes_ = 0;
  int64_t context_rows_ = 0;
  int64_t rows_ = 0;
  bool constant_prefix_ = false;
  PrefixKeysByLayer constant_keys_;  // of a constant prefix
  std::vector<PromptPass> passes_;
  std::vector<bool> keep_;  // whether a chunk's state is saved
};

// Features of fixed texts, [rows, E], not normalised. Errors of Create.
absl::StatusOr<at::Tensor> EncodeTexts(std::shared_ptr<const TextTower> tower,
                                       const std::vector<TokenRow>& rows);

}  // namespace promptd::clip

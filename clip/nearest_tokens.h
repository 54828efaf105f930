// The vocabulary's tokens nearest to learned context vectors: how a context is
// read in words (CoOp, section "interpreting the learned prompts"; the
// authors' interpret_prompt.py). Neighbours are those of the encoder's own
// token embeddings, SOT, EOT and pieces of words among them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace promptd::clip {

class TextTower;

struct NearToken {
  int32_t id = 0;
  double distance = 0;  // Euclidean

  friend bool operator==(const NearToken&, const NearToken&) = default;
};

struct VectorNeighbours {
  double norm = 0;                // Euclidean length of the vector
  std::vector<NearToken> tokens;  // nearest first, ties by the lower id
};

// The `top_k` (all, if the vocabulary has fewer) nearest tokens of each of
// `vectors` [K, W], finite and row by row. Exact: as if every distance were
// computed in double from the float32 numbers. Takes memory for 6 * K * V
// floats and K * V * W multiplications: bound K. Device thread only. The codes
// of torch_status.h.
absl::StatusOr<std::vector<VectorNeighbours>> NearestTokens(
    const TextTower& tower, absl::Span<const float> vectors, int top_k);

}  // namespace promptd::clip

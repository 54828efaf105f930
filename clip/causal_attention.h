// Attention of equally long token runs over a shared prefix and over
// themselves, with an explicit backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace promptd::clip {

// Letters: H heads, D width of a head, P prefix tokens, n runs of T tokens of
// which the last Q ask: all of them, those behind a constant start, or one when
// only the last row is read later. Scores are q k^T: the factor 1/sqrt(D) is
// already in q.

// Keys and values of the shared prefix, [H, P, D] each; undefined for none.
struct PrefixKeys {
  at::Tensor keys;
  at::Tensor values;
};

// What the backward needs.
struct AttentionSaved {
  int64_t runs = 0;          // n
  at::Tensor q;              // [H, n*Q, D]
  at::Tensor k, v;           // [H, n*T, D]
  at::Tensor probabilities;  // [H*n, Q, P+T]
};

struct AttentionGradient {
  at::Tensor q;     // [H, n*Q, D]
  at::Tensor k, v;  // [H, n*T, D]
};

// `parts` matrices side by side, x [rows, parts*H*D] -> [parts, H, rows, D]; in
// float32 on the processor, whatever x is.
at::Tensor SplitHeads(const at::Tensor& x, int64_t parts, int64_t heads);
// [H, rows, D] -> into `out` [rows, H*D], which may be a strided view and of
// another type.
void MergeHeads(const at::Tensor& x, const at::Tensor& out);

// Fills saved->probabilities from its other members and returns the mixed
// values [H, n*Q, D]. Token i of a run sees the whole prefix and the run's
// tokens up to i.
at::Tensor AttentionForward(const PrefixKeys& prefix, AttentionSaved* saved);

// From d_out [H, n*Q, D]. Adds the prefix's part to `d_prefix` [H, P, D], made
// on first use; null: the prefix is constant. With `prefix_only` nothing else
// is computed.
AttentionGradient AttentionBackward(const AttentionSaved& saved,
                                    const PrefixKeys& prefix,
                                    const at::Tensor& d_out, bool prefix_only,
                                    PrefixKeys* d_prefix);

}  // namespace promptd::clip

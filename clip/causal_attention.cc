#include "clip/causal_attention.h"

#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <limits>

namespace promptd::clip {
namespace {

// The two blocks of a [H*n, Q, P+T] matrix: over the prefix as [H, n*Q, P],
// over the run itself as [H*n, Q, T]. Both are views.
struct Blocks {
  at::Tensor prefix;
  at::Tensor own;
};

Blocks SplitBlocks(const at::Tensor& joint, int64_t heads, int64_t prefix) {
  const int64_t rows = joint.size(0) * joint.size(1) / heads;
  Blocks blocks;
  blocks.own = joint.narrow(2, prefix, joint.size(2) - prefix);
  if (prefix > 0) {
    blocks.prefix = joint.narrow(2, 0, prefix).view({heads, rows, prefix});
  }
  return blocks;
}

// [H, n*T, D] -> [H*n, T, D].
at::Tensor PerRun(const at::Tensor& x, int64_t runs) {
  return x.view({x.size(0) * runs, x.size(1) / runs, x.size(2)});
}

at::Tensor Transposed(const at::Tensor& x) { return x.transpose(1, 2); }

// scores [H*n, Q, T]: the first that asks is token T-Q.
void AddCausalMask(const at::Tensor& scores) {
  const int64_t asking = scores.size(1), tokens = scores.size(2);
  if (asking == 1) return;  // the last token sees everything
  scores.add_(at::full({asking, tokens},
                       -std::numeric_limits<float>::infinity(),
                       scores.options())
                  .triu_(tokens - asking + 1));
}

at::Tensor JoinBlocks(const at::Tensor& prefix, const at::Tensor& own) {
  if (!prefix.defined()) return own;
  return at::cat({prefix.view({own.size(0), own.size(1), -1}), own}, 2);
}

void AddTo(at::Tensor* sum, const at::Tensor& x) {
  if (sum->defined()) {
    sum->add_(x);
  } else {
    *sum = x;
  }
}

}  // namespace

at::Tensor SplitHeads(const at::Tensor& x, int64_t parts, int64_t heads) {
  const int64_t rows = x.size(0), head_width = x.size(1) / (parts * heads);
  const at::Tensor split =
      x.view({rows, parts, heads, head_width}).permute({1, 2, 0, 3});
  // The processor's bfloat16 softmax takes three times as long as float32's,
  // and its small products gain nothing.
  const bool widen = x.device().is_cpu();
  return at::empty(split.sizes(),
                   widen ? x.options().dtype(at::kFloat) : x.options())
      .copy_(split);
}

void MergeHeads(const at::Tensor& x, const at::Tensor& out) {
  out.view({x.size(1), x.size(0), x.size(2)}).copy_(x.permute({1, 0, 2}));
}

at::Tensor AttentionForward(const PrefixKeys& prefix, AttentionSaved* saved) {
  const int64_t heads = saved->q.size(0);
  const int64_t prefix_tokens = prefix.keys.defined() ? prefix.keys.size(1) : 0;
  const at::Tensor own = at::bmm(PerRun(saved->q, saved->runs),
                                 Transposed(PerRun(saved->k, saved->runs)));
  AddCausalMask(own);
  at::Tensor shared;
  if (prefix_tokens > 0) shared = at::bmm(saved->q, Transposed(prefix.keys));
  saved->probabilities = at::_softmax(JoinBlocks(shared, own), -1, false);

  const Blocks blocks = SplitBlocks(saved->probabilities, heads, prefix_tokens);
  at::Tensor mixed =
      at::bmm(blocks.own, PerRun(saved->v, saved->runs)).view_as(saved->q);
  if (prefix_tokens > 0) mixed.baddbmm_(blocks.prefix, prefix.values);
  return mixed;
}

AttentionGradient AttentionBackward(const AttentionSaved& saved,
                                    const PrefixKeys& prefix,
                                    const at::Tensor& d_out, bool prefix_only,
                                    PrefixKeys* d_prefix) {
  const int64_t heads = saved.q.size(0), runs = saved.runs;
  const int64_t prefix_tokens = prefix.keys.defined() ? prefix.keys.size(1) : 0;
  const at::Tensor d_out_runs = PerRun(d_out, runs);
  const at::Tensor d_own =
      at::bmm(d_out_runs, Transposed(PerRun(saved.v, runs)));
  at::Tensor d_shared;
  if (prefix_tokens > 0) d_shared = at::bmm(d_out, Transposed(prefix.values));
  const at::Tensor d_scores = at::_softmax_backward_data(
      JoinBlocks(d_shared, d_own), saved.probabilities, -1,
      saved.probabilities.scalar_type());

  const Blocks p = SplitBlocks(saved.probabilities, heads, prefix_tokens);
  const Blocks ds = SplitBlocks(d_scores, heads, prefix_tokens);
  if (prefix_tokens > 0 && d_prefix != nullptr) {
    AddTo(&d_prefix->keys, at::bmm(Transposed(ds.prefix), saved.q));
    AddTo(&d_prefix->values, at::bmm(Transposed(p.prefix), d_out));
  }
  AttentionGradient gradient;
  if (prefix_only) return gradient;
  gradient.q = at::bmm(ds.own, PerRun(saved.k, runs)).view_as(saved.q);
  if (prefix_tokens > 0) gradient.q.baddbmm_(ds.prefix, prefix.keys);
  gradient.k =
      at::bmm(Transposed(ds.own), PerRun(saved.q, runs)).view_as(saved.k);
  gradient.v = at::bmm(Transposed(p.own), d_out_runs).view_as(saved.v);
  return gradient;
}

}  // namespace promptd::clip

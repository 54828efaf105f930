// The forward and the explicit backward of one chunk of classes through the
// packed text tower. Internal to prompt_batch.h.
//
// The rows of a pass are [prefix; run of class 0; run of class 1; ...]: every
// linear layer runs once on all of them, only attention looks at runs. The
// prefix is computed in the first chunk; later chunks read its keys and
// values, and so do all chunks where it is constant. What later layers never
// read is not computed: the last block asks at EOT only. What no context
// reaches is computed once: the keys and values of leads, and the queries,
// keys and values of block 0 where nothing learned stands in the runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "clip/causal_attention.h"
#include "clip/prompt_layout.h"
#include "clip/text_tower.h"

namespace promptd::clip {

struct LayerSaved {
  NormSaved norm_1;
  AttentionSaved prefix;
  std::vector<AttentionSaved> groups;
  MlpSaved mlp;
};

// Everything that the backward of one chunk reads.
struct ChunkSaved {
  std::vector<LayerSaved> layers;
  NormSaved norm_final;
};

// Per layer.
using PrefixKeysByLayer = std::vector<PrefixKeys>;

// Which rows of a pass are vectors of the context. No row is there twice; a
// row of the context may be, once for every class that shares it.
struct LearnedRows {
  at::Tensor packed;    // [n*m] int64, rows of the pass
  at::Tensor context;   // [n*m] int64, rows of the context
  int64_t sharing = 1;  // n: `context` is m rows, n times over
};

// A chunk of the layout with its constants. Immutable; the tower must outlive
// it. Inputs and outputs are float32 whatever the tower computes in. Functions
// throw c10::Error; callers hold a no-grad guard.
class PromptPass {
 public:
  // `prefix` runs in this chunk; empty where it runs elsewhere. `constant` are
  // the keys of a constant prefix, which leads need; empty for none.
  PromptPass(const TextTower* tower, PromptChunk chunk,
             const PromptText& prefix, const PrefixKeysByLayer& constant);

  // context [K, W]. Fills (where the prefix runs) or reads `keys`. Returns
  // text features of the chunk's classes, [n, E].
  at::Tensor Forward(const at::Tensor& context, PrefixKeysByLayer* keys,
                     ChunkSaved* saved) const;

  // d_features [n, E]. Adds to `d_context` [K, W] and to `d_keys`, which is
  // null for a constant prefix; the chunk where the prefix runs must come last
  // and sends the sum of `d_keys` through it.
  void Backward(const at::Tensor& d_features, const PrefixKeysByLayer& keys,
                const ChunkSaved& saved, PrefixKeysByLayer* d_keys,
                const at::Tensor& d_context) const;

  // The chunk's classes as an index tensor [n].
  const at::Tensor& class_index() const { return class_index_; }
  // Bytes that Forward leaves in `saved`, rounded up.
  int64_t saved_bytes() const;

 private:
  int64_t rows() const { return prefix_ + chunk_.rows(); }
  // Rows of one group in a packed matrix.
  at::Tensor GroupRows(const at::Tensor& packed,
                       const LengthGroup& group) const;
  at::Tensor PrefixRows(const at::Tensor& packed) const;
  // The runs of one group with their lead's keys and values before their own.
  AttentionSaved WithLead(size_t layer, size_t group,
                          AttentionSaved runs) const;
  std::vector<AttentionSaved> SplitGroups(size_t layer,
                                          const at::Tensor& qkv) const;
  void MakeLeads(const PrefixKeysByLayer& constant);
  void MakeFirstGroups();

  at::Tensor Input(const at::Tensor& context) const;  // [rows, W]
  at::Tensor Attend(size_t layer, const at::Tensor& x, PrefixKeys* keys,
                    LayerSaved* saved) const;
  at::Tensor LastBlock(const at::Tensor& x, PrefixKeys* keys,
                       LayerSaved* saved) const;
  at::Tensor LastBlockBackward(const at::Tensor& dy, const PrefixKeys& keys,
                               const LayerSaved& saved,
                               PrefixKeys* d_keys) const;
  at::Tensor BlockBackward(size_t layer, const at::Tensor& dy,
                           const PrefixKeys& keys, const LayerSaved& saved,
                           PrefixKeys* d_keys) const;
  at::Tensor FirstBlockBackward(const at::Tensor& dy, const PrefixKeys& keys,
                                const LayerSaved& saved,
                                PrefixKeys* d_keys) const;
  void PrefixBackward(const at::Tensor& d_mixed, const LayerSaved& saved,
                      const PrefixKeys& d_keys, const at::Tensor& dqkv) const;

  const TextTower* tower_;
  PromptChunk chunk_;
  int64_t prefix_;
  // [rows, W] embedding and position of tokens, the position alone of learned
  // rows; float32 where there are any.
  at::Tensor embedded_;
  std::vector<LearnedRows> learned_;  // of the prefix, of the runs
  bool learned_runs_ = false;         // whether runs have any
  at::Tensor eot_index_;              // [n], into packed rows
  at::Tensor class_index_;            // [n]
  // q, k, v of block 0 where the runs are constant there; else empty.
  std::vector<AttentionSaved> first_groups_;
  // By layer and group: keys and values of leads [H, count*lead, D].
  std::vector<std::vector<PrefixKeys>> leads_;
};

}  // namespace promptd::clip

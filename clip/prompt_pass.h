// The forward and the explicit backward of one chunk of classes through the
// packed text tower. Internal to prompt_batch.h.
//
// The rows of a pass are [prefix; suffix of class 0; suffix of class 1; ...]:
// every linear layer runs once on all of them, only attention looks at runs.
// The prefix is computed in the first chunk; later chunks read its keys and
// values. What later layers never read is not computed: the last block asks
// at EOT only, and the suffixes' queries, keys and values in block 0 are
// constants of the class names.
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

// A chunk of the layout with its constants. Immutable; the tower must outlive
// it. Inputs and outputs are float32 whatever the tower computes in. Functions
// throw c10::Error; callers hold a no-grad guard.
class PromptPass {
 public:
  // `prefix` tokens run in this chunk: P in the first, 0 in the others.
  PromptPass(const TextTower* tower, PromptChunk chunk, int64_t prefix);

  // prefix_input [P, W], read in the first chunk only. Fills (first chunk) or
  // reads `keys`. Returns text features of the chunk's classes, [n, E].
  at::Tensor Forward(const at::Tensor& prefix_input, PrefixKeysByLayer* keys,
                     ChunkSaved* saved) const;

  // d_features [n, E]. Adds to `d_keys`; in the first chunk, which must come
  // last, sends the sum through the prefix and returns [P, W].
  at::Tensor Backward(const at::Tensor& d_features,
                      const PrefixKeysByLayer& keys, const ChunkSaved& saved,
                      PrefixKeysByLayer* d_keys) const;

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
  std::vector<AttentionSaved> SplitGroups(const at::Tensor& qkv) const;

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
  at::Tensor embedded_;                       // [suffix rows, W]
  at::Tensor eot_index_;                      // [n], into packed rows
  at::Tensor class_index_;                    // [n]
  std::vector<AttentionSaved> first_groups_;  // q, k, v of block 0
};

}  // namespace promptd::clip

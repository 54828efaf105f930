#include "clip/prompt_pass.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <utility>

namespace promptd::clip {
namespace {

AttentionSaved FromParts(const at::Tensor& qkv, int64_t runs) {
  AttentionSaved saved;
  saved.runs = runs;
  saved.q = qkv.select(0, 0);
  saved.k = qkv.select(0, 1);
  saved.v = qkv.select(0, 2);
  return saved;
}

// Writes [H, rows, D] into column block `part` of out [rows, parts*W].
void MergePart(const at::Tensor& x, int64_t part, const at::Tensor& out) {
  const int64_t width = x.size(0) * x.size(2);
  MergeHeads(x, out.narrow(1, part * width, width));
}

}  // namespace

PromptPass::PromptPass(const TextTower* tower, PromptChunk chunk,
                       int64_t prefix)
    : tower_(tower), chunk_(std::move(chunk)), prefix_(prefix) {
  embedded_ =
      tower_->Embed(chunk_.token_ids, chunk_.positions).to(tower_->type());
  eot_index_ =
      at::tensor(chunk_.eot_rows, tower_->index_options()).add(prefix_);
  class_index_ = at::tensor(chunk_.classes, tower_->index_options());
  if (tower_->blocks().size() > 1) {
    const TransformerBlock& block = tower_->blocks()[0];
    NormSaved unused;
    const at::Tensor qkv =
        block.qkv().Forward(block.norm_1().Forward(embedded_, &unused));
    for (const LengthGroup& group : chunk_.groups) {
      first_groups_.push_back(FromParts(
          SplitHeads(qkv.narrow(0, group.first_row, group.count * group.length),
                     3, tower_->heads()),
          group.count));
    }
  }
}

int64_t PromptPass::saved_bytes() const {
  // Per row and layer: two norm inputs, q, k, v, the hidden layer, and the
  // attention over the prefix and the longest run.
  const int64_t longest =
      chunk_.groups.empty() ? 0 : chunk_.groups.back().length;
  const int64_t floats = 9 * tower_->width() +
                         tower_->heads() * (tower_->context_length() + longest);
  return rows() * floats * static_cast<int64_t>(sizeof(float)) *
         static_cast<int64_t>(tower_->blocks().size());
}

at::Tensor PromptPass::GroupRows(const at::Tensor& packed,
                                 const LengthGroup& group) const {
  return packed.narrow(0, prefix_ + group.first_row,
                       group.count * group.length);
}

at::Tensor PromptPass::PrefixRows(const at::Tensor& packed) const {
  return packed.narrow(0, 0, prefix_);
}

std::vector<AttentionSaved> PromptPass::SplitGroups(
    const at::Tensor& qkv) const {
  std::vector<AttentionSaved> groups;
  groups.reserve(chunk_.groups.size());
  for (const LengthGroup& group : chunk_.groups) {
    groups.push_back(FromParts(
        SplitHeads(GroupRows(qkv, group), 3, tower_->heads()), group.count));
  }
  return groups;
}

at::Tensor PromptPass::Forward(const at::Tensor& prefix_input,
                               PrefixKeysByLayer* keys,
                               ChunkSaved* saved) const {
  const size_t layers = tower_->blocks().size();
  saved->layers.assign(layers, {});
  keys->resize(layers);
  at::Tensor x = embedded_;
  if (prefix_ > 0) x = at::cat({prefix_input.to(tower_->type()), embedded_});
  for (size_t layer = 0; layer + 1 < layers; ++layer) {
    LayerSaved& layer_saved = saved->layers[layer];
    const at::Tensor mixed = Attend(layer, x, &(*keys)[layer], &layer_saved);
    const TransformerBlock& block = tower_->blocks()[layer];
    x = block.Mlp(block.out().Forward(mixed).add_(x), &layer_saved.mlp);
  }
  x = LastBlock(x, &keys->back(), &saved->layers.back());
  return tower_->projection()
      .Forward(tower_->norm_final().Forward(x, &saved->norm_final))
      .to(at::kFloat);
}

at::Tensor PromptPass::Attend(size_t layer, const at::Tensor& x,
                              PrefixKeys* keys, LayerSaved* saved) const {
  const TransformerBlock& block = tower_->blocks()[layer];
  at::Tensor qkv;
  if (layer > 0) {
    qkv = block.qkv().Forward(block.norm_1().Forward(x, &saved->norm_1));
    saved->groups = SplitGroups(qkv);
  } else {
    if (prefix_ > 0) {
      qkv = block.qkv().Forward(
          block.norm_1().Forward(PrefixRows(x), &saved->norm_1));
    }
    saved->groups = first_groups_;
  }
  const at::Tensor mixed = at::empty_like(x);
  if (prefix_ > 0) {
    saved->prefix =
        FromParts(SplitHeads(PrefixRows(qkv), 3, tower_->heads()), 1);
    *keys = {saved->prefix.k, saved->prefix.v};
    MergeHeads(AttentionForward({}, &saved->prefix), PrefixRows(mixed));
  }
  for (size_t i = 0; i < saved->groups.size(); ++i) {
    MergeHeads(AttentionForward(*keys, &saved->groups[i]),
               GroupRows(mixed, chunk_.groups[i]));
  }
  return mixed;
}

at::Tensor PromptPass::LastBlock(const at::Tensor& x, PrefixKeys* keys,
                                 LayerSaved* saved) const {
  const TransformerBlock& block = tower_->blocks().back();
  const int64_t heads = tower_->heads();
  const at::Tensor normed = block.norm_1().Forward(x, &saved->norm_1);
  const at::Tensor key_value = block.key_value().Forward(normed);
  const at::Tensor query =
      block.query().Forward(normed.index_select(0, eot_index_));  // [n, W]
  if (prefix_ > 0) {
    const at::Tensor split = SplitHeads(PrefixRows(key_value), 2, heads);
    *keys = {split.select(0, 0), split.select(0, 1)};
  }
  const at::Tensor mixed = at::empty_like(query);
  for (const LengthGroup& group : chunk_.groups) {
    const at::Tensor split = SplitHeads(GroupRows(key_value, group), 2, heads);
    AttentionSaved attention;
    attention.runs = group.count;
    attention.q =
        SplitHeads(query.narrow(0, group.first_slot, group.count), 1, heads)
            .select(0, 0);
    attention.k = split.select(0, 0);
    attention.v = split.select(0, 1);
    MergeHeads(AttentionForward(*keys, &attention),
               mixed.narrow(0, group.first_slot, group.count));
    saved->groups.push_back(std::move(attention));
  }
  return block.Mlp(
      block.out().Forward(mixed).add_(x.index_select(0, eot_index_)),
      &saved->mlp);
}

at::Tensor PromptPass::Backward(const at::Tensor& d_features,
                                const PrefixKeysByLayer& keys,
                                const ChunkSaved& saved,
                                PrefixKeysByLayer* d_keys) const {
  const size_t layers = tower_->blocks().size();
  d_keys->resize(layers);
  at::Tensor dx = tower_->norm_final().Backward(
      tower_->projection().InputGradient(d_features.to(tower_->type())),
      saved.norm_final);
  dx = LastBlockBackward(dx, keys.back(), saved.layers.back(), &d_keys->back());
  if (layers == 1) return PrefixRows(dx).to(at::kFloat);
  for (size_t layer = layers - 2; layer > 0; --layer) {
    dx = BlockBackward(layer, dx, keys[layer], saved.layers[layer],
                       &(*d_keys)[layer]);
  }
  dx = FirstBlockBackward(dx, keys[0], saved.layers[0], &(*d_keys)[0]);
  return dx.defined() ? dx.to(at::kFloat) : dx;
}

at::Tensor PromptPass::LastBlockBackward(const at::Tensor& dy,
                                         const PrefixKeys& keys,
                                         const LayerSaved& saved,
                                         PrefixKeys* d_keys) const {
  const TransformerBlock& block = tower_->blocks().back();
  const int64_t heads = tower_->heads(), width = tower_->width();
  const at::Tensor d_middle = block.MlpBackward(dy, saved.mlp);  // [n, W]
  const at::Tensor d_mixed = block.out().InputGradient(d_middle);
  const at::Tensor d_query = at::empty_like(d_mixed);
  const at::Tensor d_key_value =
      at::empty({rows(), 2 * width}, d_mixed.options());
  for (size_t i = 0; i < chunk_.groups.size(); ++i) {
    const LengthGroup& group = chunk_.groups[i];
    const at::Tensor d_out =
        SplitHeads(d_mixed.narrow(0, group.first_slot, group.count), 1, heads)
            .select(0, 0);
    const AttentionGradient gradient =
        AttentionBackward(saved.groups[i], keys, d_out, false, d_keys);
    MergeHeads(gradient.q, d_query.narrow(0, group.first_slot, group.count));
    MergePart(gradient.k, 0, GroupRows(d_key_value, group));
    MergePart(gradient.v, 1, GroupRows(d_key_value, group));
  }
  if (prefix_ > 0) {
    MergePart(d_keys->keys, 0, PrefixRows(d_key_value));
    MergePart(d_keys->values, 1, PrefixRows(d_key_value));
  }
  const at::Tensor d_normed = block.key_value().InputGradient(d_key_value);
  d_normed.index_add_(0, eot_index_, block.query().InputGradient(d_query));
  return block.norm_1()
      .Backward(d_normed, saved.norm_1)
      .index_add_(0, eot_index_, d_middle);
}

void PromptPass::PrefixBackward(const at::Tensor& d_mixed,
                                const LayerSaved& saved,
                                const PrefixKeys& d_keys,
                                const at::Tensor& dqkv) const {
  const at::Tensor d_out =
      SplitHeads(PrefixRows(d_mixed), 1, tower_->heads()).select(0, 0);
  const AttentionGradient gradient =
      AttentionBackward(saved.prefix, {}, d_out, false, nullptr);
  MergePart(gradient.q, 0, dqkv);
  MergePart(gradient.k.add_(d_keys.keys), 1, dqkv);
  MergePart(gradient.v.add_(d_keys.values), 2, dqkv);
}

at::Tensor PromptPass::BlockBackward(size_t layer, const at::Tensor& dy,
                                     const PrefixKeys& keys,
                                     const LayerSaved& saved,
                                     PrefixKeys* d_keys) const {
  const TransformerBlock& block = tower_->blocks()[layer];
  const at::Tensor d_middle = block.MlpBackward(dy, saved.mlp);
  const at::Tensor d_mixed = block.out().InputGradient(d_middle);
  const at::Tensor dqkv =
      at::empty({rows(), 3 * tower_->width()}, d_mixed.options());
  for (size_t i = 0; i < chunk_.groups.size(); ++i) {
    const LengthGroup& group = chunk_.groups[i];
    const at::Tensor d_out =
        SplitHeads(GroupRows(d_mixed, group), 1, tower_->heads()).select(0, 0);
    const AttentionGradient gradient =
        AttentionBackward(saved.groups[i], keys, d_out, false, d_keys);
    MergePart(gradient.q, 0, GroupRows(dqkv, group));
    MergePart(gradient.k, 1, GroupRows(dqkv, group));
    MergePart(gradient.v, 2, GroupRows(dqkv, group));
  }
  if (prefix_ > 0) PrefixBackward(d_mixed, saved, *d_keys, PrefixRows(dqkv));
  return block.norm_1()
      .Backward(block.qkv().InputGradient(dqkv), saved.norm_1)
      .add_(d_middle);
}

at::Tensor PromptPass::FirstBlockBackward(const at::Tensor& dy,
                                          const PrefixKeys& keys,
                                          const LayerSaved& saved,
                                          PrefixKeys* d_keys) const {
  const TransformerBlock& block = tower_->blocks()[0];
  const at::Tensor d_middle = block.MlpBackward(dy, saved.mlp);
  const at::Tensor d_mixed = block.out().InputGradient(d_middle);
  for (size_t i = 0; i < chunk_.groups.size(); ++i) {
    const at::Tensor d_out =
        SplitHeads(GroupRows(d_mixed, chunk_.groups[i]), 1, tower_->heads())
            .select(0, 0);
    AttentionBackward(saved.groups[i], keys, d_out, true, d_keys);
  }
  if (prefix_ == 0) return {};
  const at::Tensor dqkv =
      at::empty({prefix_, 3 * tower_->width()}, d_mixed.options());
  PrefixBackward(d_mixed, saved, *d_keys, dqkv);
  return block.norm_1()
      .Backward(block.qkv().InputGradient(dqkv), saved.norm_1)
      .add_(PrefixRows(d_middle));
}

}  // namespace promptd::clip

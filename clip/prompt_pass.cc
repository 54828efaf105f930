#include "clip/prompt_pass.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
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

// [H, n*lead, D] and [H, n*T, D] -> [H, n*(lead+T), D], run by run.
at::Tensor JoinRuns(const at::Tensor& lead, const at::Tensor& own,
                    int64_t runs) {
  const int64_t heads = own.size(0), width = own.size(2);
  const auto per_run = [&](const at::Tensor& x) {
    return x.view({heads, runs, x.size(1) / runs, width});
  };
  return at::cat({per_run(lead), per_run(own)}, 2).view({heads, -1, width});
}

// The own part of what JoinRuns made, `own` rows a run.
at::Tensor OwnRuns(const at::Tensor& joined, int64_t runs, int64_t own) {
  const int64_t tokens = joined.size(1) / runs;
  if (tokens == own) return joined;
  const int64_t heads = joined.size(0), width = joined.size(2);
  return joined.view({heads, runs, tokens, width})
      .narrow(2, tokens - own, own)
      .reshape({heads, runs * own, width});
}

LearnedRows FindLearned(const std::vector<PromptItem>& items, int64_t first_row,
                        const at::TensorOptions& options) {
  std::vector<int64_t> packed, context;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].learned()) continue;
    packed.push_back(first_row + static_cast<int64_t>(i));
    context.push_back(items[i].context);
  }
  LearnedRows rows;
  if (packed.empty()) return rows;
  rows.packed = at::tensor(packed, options);
  rows.context = at::tensor(context, options);
  // A context that classes share comes in the same order in each of them.
  rows.sharing = std::count(context.begin(), context.end(), context[0]);
  return rows;
}

}  // namespace

PromptPass::PromptPass(const TextTower* tower, PromptChunk chunk,
                       const PromptText& prefix,
                       const PrefixKeysByLayer& constant)
    : tower_(tower),
      chunk_(std::move(chunk)),
      prefix_(static_cast<int64_t>(prefix.size())) {
  std::vector<PromptItem> items = prefix;
  items.insert(items.end(), chunk_.items.begin(), chunk_.items.end());
  std::vector<int64_t> positions(prefix.size());
  std::iota(positions.begin(), positions.end(), 0);
  positions.insert(positions.end(), chunk_.positions.begin(),
                   chunk_.positions.end());
  embedded_ = tower_->Embed(items, positions);
  for (const LearnedRows& rows :
       {FindLearned(prefix, 0, tower_->index_options()),
        FindLearned(chunk_.items, prefix_, tower_->index_options())}) {
    if (rows.packed.defined()) learned_.push_back(rows);
  }
  learned_runs_ =
      std::any_of(chunk_.items.begin(), chunk_.items.end(),
                  [](const PromptItem& item) { return item.learned(); });
  if (learned_.empty()) embedded_ = embedded_.to(tower_->type());
  eot_index_ =
      at::tensor(chunk_.eot_rows, tower_->index_options()).add(prefix_);
  class_index_ = at::tensor(chunk_.classes, tower_->index_options());
  if (!chunk_.lead_items.empty()) MakeLeads(constant);
  if (!learned_runs_ && tower_->blocks().size() > 1) MakeFirstGroups();
}

void PromptPass::MakeFirstGroups() {
  const TransformerBlock& block = tower_->blocks()[0];
  NormSaved unused;
  const at::Tensor runs =
      embedded_.narrow(0, prefix_, chunk_.rows()).to(tower_->type());
  const at::Tensor qkv =
      block.qkv().Forward(block.norm_1().Forward(runs, &unused));
  for (const LengthGroup& group : chunk_.groups) {
    first_groups_.push_back(FromParts(
        SplitHeads(qkv.narrow(0, group.first_row, group.count * group.length),
                   3, tower_->heads()),
        group.count));
  }
}

// Runs the leads through the tower once, as if they were texts.
void PromptPass::MakeLeads(const PrefixKeysByLayer& constant) {
  PromptChunk leads;
  leads.items = chunk_.lead_items;
  leads.positions = chunk_.lead_positions;
  int64_t row = 0, slot = 0;
  for (const LengthGroup& group : chunk_.groups) {
    if (group.lead == 0) continue;
    leads.groups.push_back({group.lead, 0, group.count, row, slot});
    for (int64_t i = 0; i < group.count; ++i) {
      row += group.lead;
      leads.classes.push_back(slot++);
      leads.eot_rows.push_back(row - 1);
    }
  }
  PrefixKeysByLayer keys = constant;
  ChunkSaved saved;
  PromptPass(tower_, std::move(leads), {}, {})
      .Forward(at::Tensor(), &keys, &saved);
  for (const LayerSaved& layer : saved.layers) {
    leads_.emplace_back(chunk_.groups.size());
    auto runs = layer.groups.begin();
    for (size_t i = 0; i < chunk_.groups.size(); ++i) {
      if (chunk_.groups[i].lead == 0) continue;
      leads_.back()[i] = {runs->k, runs->v};
      ++runs;
    }
  }
}

int64_t PromptPass::saved_bytes() const {
  // Per row and layer: two norm inputs, q, k, v, the hidden layer, and the
  // attention over the prefix and the longest run.
  int64_t longest = 0;
  for (const LengthGroup& group : chunk_.groups) {
    longest = std::max(longest, group.lead + group.length);
  }
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

AttentionSaved PromptPass::WithLead(size_t layer, size_t group,
                                    AttentionSaved runs) const {
  if (chunk_.groups[group].lead == 0) return runs;
  const PrefixKeys& lead = leads_[layer][group];
  runs.k = JoinRuns(lead.keys, runs.k, runs.runs);
  runs.v = JoinRuns(lead.values, runs.v, runs.runs);
  return runs;
}

std::vector<AttentionSaved> PromptPass::SplitGroups(
    size_t layer, const at::Tensor& qkv) const {
  std::vector<AttentionSaved> groups;
  groups.reserve(chunk_.groups.size());
  for (size_t i = 0; i < chunk_.groups.size(); ++i) {
    const LengthGroup& group = chunk_.groups[i];
    groups.push_back(WithLead(
        layer, i,
        FromParts(SplitHeads(GroupRows(qkv, group), 3, tower_->heads()),
                  group.count)));
  }
  return groups;
}

at::Tensor PromptPass::Input(const at::Tensor& context) const {
  if (learned_.empty()) return embedded_;
  const at::Tensor x = embedded_.clone();
  for (const LearnedRows& rows : learned_) {
    x.index_add_(0, rows.packed, context.index_select(0, rows.context));
  }
  return x.to(tower_->type());
}

at::Tensor PromptPass::Forward(const at::Tensor& context,
                               PrefixKeysByLayer* keys,
                               ChunkSaved* saved) const {
  const size_t layers = tower_->blocks().size();
  saved->layers.assign(layers, {});
  keys->resize(layers);
  at::Tensor x = Input(context);
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
  if (layer > 0 || learned_runs_) {
    qkv = block.qkv().Forward(block.norm_1().Forward(x, &saved->norm_1));
    saved->groups = SplitGroups(layer, qkv);
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
  for (size_t i = 0; i < chunk_.groups.size(); ++i) {
    const LengthGroup& group = chunk_.groups[i];
    const at::Tensor split = SplitHeads(GroupRows(key_value, group), 2, heads);
    AttentionSaved attention;
    attention.runs = group.count;
    attention.q =
        SplitHeads(query.narrow(0, group.first_slot, group.count), 1, heads)
            .select(0, 0);
    attention.k = split.select(0, 0);
    attention.v = split.select(0, 1);
    attention = WithLead(tower_->blocks().size() - 1, i, std::move(attention));
    MergeHeads(AttentionForward(*keys, &attention),
               mixed.narrow(0, group.first_slot, group.count));
    saved->groups.push_back(std::move(attention));
  }
  return block.Mlp(
      block.out().Forward(mixed).add_(x.index_select(0, eot_index_)),
      &saved->mlp);
}

void PromptPass::Backward(const at::Tensor& d_features,
                          const PrefixKeysByLayer& keys,
                          const ChunkSaved& saved, PrefixKeysByLayer* d_keys,
                          const at::Tensor& d_context) const {
  const size_t layers = tower_->blocks().size();
  if (d_keys != nullptr) d_keys->resize(layers);
  const auto d_prefix = [d_keys](size_t layer) {
    return d_keys == nullptr ? nullptr : &(*d_keys)[layer];
  };
  at::Tensor dx = tower_->norm_final().Backward(
      tower_->projection().InputGradient(d_features.to(tower_->type())),
      saved.norm_final);
  dx = LastBlockBackward(dx, keys.back(), saved.layers.back(),
                         d_prefix(layers - 1));
  for (size_t layer = layers - 1; layer-- > 0;) {
    const bool constant_runs = layer == 0 && !learned_runs_;
    dx = constant_runs
             ? FirstBlockBackward(dx, keys[0], saved.layers[0], d_prefix(0))
             : BlockBackward(layer, dx, keys[layer], saved.layers[layer],
                             d_prefix(layer));
  }
  for (const LearnedRows& rows : learned_) {
    const int64_t n = rows.sharing, m = rows.packed.size(0) / n;
    // Classes that share a context are summed in their order, then no index
    // is there twice: the same bits on every device.
    const at::Tensor d_rows =
        dx.index_select(0, rows.packed).to(at::kFloat).view({n, m, -1}).sum(0);
    d_context.index_add_(0, rows.context.narrow(0, 0, m), d_rows);
  }
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
    MergePart(OwnRuns(gradient.k, group.count, group.length), 0,
              GroupRows(d_key_value, group));
    MergePart(OwnRuns(gradient.v, group.count, group.length), 1,
              GroupRows(d_key_value, group));
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
    MergePart(OwnRuns(gradient.k, group.count, group.length), 1,
              GroupRows(dqkv, group));
    MergePart(OwnRuns(gradient.v, group.count, group.length), 2,
              GroupRows(dqkv, group));
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

#include "clip/vision_transformer.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <string>

namespace promptd::clip {
namespace {

// softmax(q k^T / sqrt(D)) v of q [B, H, Q, D] and k, v [B, H, T, D] ->
// [B*Q, H*D].
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k,
                  const at::Tensor& v) {
  const at::Tensor mixed = at::scaled_dot_product_attention(q, k, v);
  return mixed.transpose(1, 2).reshape(
      {q.size(0) * q.size(2), q.size(1) * q.size(3)});
}

}  // namespace

std::unique_ptr<VisionTransformer> VisionTransformer::Load(
    const weights::EncoderConfig& config, const at::TensorOptions& options,
    TensorReader& reader) {
  const weights::VisionConfig& vision = config.vision;
  std::unique_ptr<VisionTransformer> tower(new VisionTransformer());
  tower->options_ = options;
  const int64_t w = tower->width_ = vision.width;
  const int64_t p = tower->patch_ = vision.patch_size;
  tower->grid_ = vision.image_size / vision.patch_size;
  tower->tokens_ = tower->grid_ * tower->grid_ + 1;
  tower->heads_ = vision.width / vision.head_width;

  const at::Tensor kernel = reader.Read("visual.conv1.weight", {w, 3, p, p});
  const at::Tensor class_embedding = reader.Read("visual.class_embedding", {w});
  const at::Tensor positions =
      reader.Read("visual.positional_embedding", {tower->tokens_, w});
  const auto norm = [&](const std::string& name) {
    const at::Tensor weight = reader.Read(name + ".weight", {w});
    const at::Tensor bias = reader.Read(name + ".bias", {w});
    return reader.ok() ? FrozenNorm(weight, bias, options) : FrozenNorm();
  };
  tower->norm_pre_ = norm("visual.ln_pre");
  std::vector<BlockWeights> blocks;
  blocks.reserve(static_cast<size_t>(vision.vit_layers));
  for (int layer = 0; layer < vision.vit_layers; ++layer) {
    blocks.push_back(
        BlockWeights::Read("visual.transformer.", layer, w, reader));
  }
  tower->norm_post_ = norm("visual.ln_post");
  const at::Tensor projection =
      reader.Read("visual.proj", {w, config.embed_dim});
  if (!reader.ok()) return nullptr;

  tower->patch_embedding_ =
      FrozenLinear(kernel.reshape({w, 3 * p * p}), at::Tensor(),
                   LinearUse::kForwardOnly, options);
  tower->class_token_ = class_embedding.add(positions.select(0, 0)).to(options);
  tower->positions_ = positions.narrow(0, 1, tower->tokens_ - 1)
                          .to(options, /*non_blocking=*/false, /*copy=*/true);
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    tower->blocks_.emplace_back(blocks[layer], /*query_scale=*/1,
                                config.quick_gelu, layer + 1 == blocks.size(),
                                LinearUse::kForwardOnly, options);
    blocks[layer] = {};  // packed now: one copy of the weights at a time
  }
  tower->projection_ = FrozenLinear(projection.t(), at::Tensor(),
                                    LinearUse::kForwardOnly, options);
  return tower;
}

// The convolution of open_clip's conv1 has stride = kernel side: a linear
// layer on each patch, whose values it reads channel by channel.
at::Tensor VisionTransformer::Patches(const at::Tensor& pixels) const {
  const int64_t batch = pixels.size(0);
  return pixels.view({batch, 3, grid_, patch_, grid_, patch_})
      .permute({0, 2, 4, 1, 3, 5})  // [B, G, G, 3, p, p]
      .reshape({batch * grid_ * grid_, 3 * patch_ * patch_});
}

at::Tensor VisionTransformer::Embed(const at::Tensor& pixels) const {
  const int64_t batch = pixels.size(0);
  at::Tensor tokens = at::empty({batch, tokens_, width_}, pixels.options());
  tokens.select(1, 0).copy_(class_token_.expand({batch, width_}));
  at::Tensor places = tokens.narrow(1, 1, tokens_ - 1);
  at::add_out(places,
              patch_embedding_.Forward(Patches(pixels))
                  .view({batch, tokens_ - 1, width_}),
              positions_);
  return norm_pre_.Forward(tokens);
}

at::Tensor VisionTransformer::RunBlock(const TransformerBlock& block,
                                       const at::Tensor& x,
                                       int64_t batch) const {
  const at::Tensor qkv = block.qkv()
                             .Forward(block.norm_1().Forward(x))
                             .view({batch, tokens_, 3, heads_, -1})
                             .permute({2, 0, 3, 1, 4});  // [3, B, H, T, D]
  const at::Tensor mixed =
      Attend(qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2));
  return block.Mlp(block.out().Forward(mixed).add_(x));
}

at::Tensor VisionTransformer::RunLastBlock(const at::Tensor& x,
                                           int64_t batch) const {
  const TransformerBlock& block = blocks_.back();
  const auto class_rows = [&](const at::Tensor& rows) {
    return rows.view({batch, tokens_, width_}).select(1, 0).contiguous();
  };
  const at::Tensor normed = block.norm_1().Forward(x);
  const at::Tensor query =
      block.query().Forward(class_rows(normed)).view({batch, heads_, 1, -1});
  const at::Tensor keys_values =
      block.key_value()
          .Forward(normed)
          .view({batch, tokens_, 2, heads_, -1})
          .permute({2, 0, 3, 1, 4});  // [2, B, H, T, D]
  const at::Tensor mixed =
      Attend(query, keys_values.select(0, 0), keys_values.select(0, 1));
  return block.Mlp(block.out().Forward(mixed).add_(class_rows(x)));
}

// open_clip's VisionTransformer.forward with a class token, of which only
// what reaches that token in the end is computed.
at::Tensor VisionTransformer::Encode(const at::Tensor& pixels) const {
  const int64_t batch = pixels.size(0);
  at::Tensor x = Embed(pixels.to(options_, /*non_blocking=*/true).contiguous())
                     .view({batch * tokens_, width_});
  for (size_t layer = 0; layer + 1 < blocks_.size(); ++layer) {
    x = RunBlock(blocks_[layer], x, batch);
  }
  return projection_.Forward(norm_post_.Forward(RunLastBlock(x, batch)))
      .to(at::kFloat);
}

int64_t VisionTransformer::activation_bytes() const {
  return tokens_ * 4 * width_ *
         static_cast<int64_t>(options_.dtype().itemsize());
}

int64_t VisionTransformer::multiply_adds() const {
  const int64_t block = 12 * width_ * width_;
  const int64_t full = static_cast<int64_t>(blocks_.size()) - 1;
  return (tokens_ - 1) * patch_embedding_.in_features() * width_ +
         full * tokens_ * block +                // all but the last
         (2 * tokens_ + 10) * width_ * width_ +  // the last
         width_ * projection_.out_features();
}

}  // namespace promptd::clip

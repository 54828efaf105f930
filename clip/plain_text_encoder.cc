#include "clip/plain_text_encoder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>

namespace promptd::clip {
namespace {

at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight,
                const at::Tensor& bias) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, kLayerNormEpsilon);
}

// Multi-head self-attention, x [B, L, W], mask [L, L] added to the scores.
at::Tensor Attention(const BlockWeights& block, int64_t heads,
                     const at::Tensor& x, const at::Tensor& mask) {
  const int64_t batch = x.size(0), length = x.size(1), width = x.size(2);
  const int64_t head_width = width / heads;
  const at::Tensor qkv = at::linear(x, block.in_proj_weight, block.in_proj_bias)
                             .view({batch, length, 3, heads, head_width})
                             .permute({2, 0, 3, 1, 4});  // [3, B, H, L, W/H]
  const at::Tensor q =
      qkv.select(0, 0).mul(1.0 / std::sqrt(static_cast<double>(head_width)));
  const at::Tensor scores =
      at::matmul(q, qkv.select(0, 1).transpose(-2, -1)).add(mask);
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), qkv.select(0, 2))
                               .permute({0, 2, 1, 3})
                               .reshape({batch, length, width});
  return at::linear(mixed, block.out_proj_weight, block.out_proj_bias);
}

at::Tensor Activate(bool quick_gelu, const at::Tensor& x) {
  if (!quick_gelu) return at::gelu(x);
  return x.mul(at::sigmoid(x.mul(kQuickGelu)));
}

at::Tensor Block(const TextWeights& tower, const BlockWeights& block,
                 const at::Tensor& x, const at::Tensor& mask) {
  const at::Tensor middle =
      x.add(Attention(block, tower.config.heads,
                      Norm(x, block.ln_1_weight, block.ln_1_bias), mask));
  const at::Tensor hidden =
      at::linear(Norm(middle, block.ln_2_weight, block.ln_2_bias),
                 block.c_fc_weight, block.c_fc_bias);
  return middle.add(at::linear(Activate(tower.quick_gelu, hidden),
                               block.c_proj_weight, block.c_proj_bias));
}

}  // namespace

at::Tensor EmbedTokens(const TextWeights& tower, const at::Tensor& ids) {
  return at::embedding(tower.token_embedding, ids);
}

at::Tensor EncodeEmbedded(const TextWeights& tower, const at::Tensor& embedded,
                          const at::Tensor& eot) {
  const int64_t length = embedded.size(1);
  const at::Tensor mask =
      at::full({length, length}, -std::numeric_limits<double>::infinity(),
               embedded.options().requires_grad(false))
          .triu(1);
  at::Tensor x = embedded.add(tower.positional_embedding.narrow(0, 0, length));
  for (const BlockWeights& block : tower.blocks) {
    x = Block(tower, block, x, mask);
  }
  x = Norm(x, tower.ln_final_weight, tower.ln_final_bias);
  const at::Tensor rows =
      at::arange(embedded.size(0), eot.options()).mul(length).add(eot);
  const at::Tensor pooled =
      x.reshape({-1, x.size(2)}).index_select(0, rows);  // [B, W]
  return at::matmul(pooled, tower.text_projection);
}

at::Tensor EncodeTokens(const TextWeights& tower, const at::Tensor& ids) {
  return EncodeEmbedded(tower, EmbedTokens(tower, ids), ids.argmax(-1));
}

}  // namespace promptd::clip

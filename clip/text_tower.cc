#include "clip/text_tower.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include "clip/torch_status.h"
#include "common/status_macros.h"

namespace promptd::clip {

absl::StatusOr<std::shared_ptr<const TextTower>> TextTower::Load(
    const weights::EncoderConfig& config, const weights::Safetensors& file) {
  return Guarded("load the text tower",
                 [&]() -> absl::StatusOr<std::shared_ptr<const TextTower>> {
                   ASSIGN_OR_RETURN(const TextWeights weights,
                                    TextWeights::Load(config, file));
                   return std::make_shared<const TextTower>(weights);
                 });
}

TextTower::TextTower(const TextWeights& weights, at::ScalarType type)
    : config_(weights.config),
      embed_dim_(weights.embed_dim),
      type_(type),
      token_embedding_(weights.token_embedding.clone()),
      positional_embedding_(weights.positional_embedding.clone()),
      norm_final_(weights.ln_final_weight, weights.ln_final_bias) {
  const at::NoGradGuard no_grad;
  const size_t layers = weights.blocks.size();
  for (size_t layer = 0; layer < layers; ++layer) {
    blocks_.emplace_back(weights.blocks[layer], heads(), weights.quick_gelu,
                         layer + 1 == layers, LinearUse::kInputGradient, type);
  }
  projection_ = FrozenLinear(weights.text_projection.t(), at::Tensor(),
                             LinearUse::kInputGradient, type);
}

at::Tensor TextTower::Embed(const std::vector<int64_t>& ids,
                            const std::vector<int64_t>& positions) const {
  return token_embedding_.index_select(0, at::tensor(ids))
      .add(positional_embedding_.index_select(0, at::tensor(positions)));
}

}  // namespace promptd::clip

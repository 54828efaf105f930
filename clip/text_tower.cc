#include "clip/text_tower.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <utility>

#include "clip/torch_status.h"
#include "common/status_macros.h"

namespace promptd::clip {

absl::StatusOr<std::shared_ptr<const TextTower>> TextTower::Load(
    const weights::EncoderConfig& config, const weights::Safetensors& file) {
  return Guarded("load the text tower",
                 [&]() -> absl::StatusOr<std::shared_ptr<const TextTower>> {
                   ASSIGN_OR_RETURN(TextWeights weights,
                                    TextWeights::Load(config, file));
                   return std::make_shared<const TextTower>(std::move(weights));
                 });
}

TextTower::TextTower(TextWeights weights, at::ScalarType type)
    : weights_(std::move(weights)), type_(type) {
  const at::NoGradGuard no_grad;
  const size_t layers = weights_.blocks.size();
  for (size_t layer = 0; layer < layers; ++layer) {
    blocks_.emplace_back(weights_.blocks[layer], heads(), weights_.quick_gelu,
                         layer + 1 == layers, LinearUse::kInputGradient, type);
  }
  norm_final_ = FrozenNorm(weights_.ln_final_weight, weights_.ln_final_bias);
  projection_ = FrozenLinear(weights_.text_projection.t(), at::Tensor(),
                             LinearUse::kInputGradient, type);
}

at::Tensor TextTower::Embed(const std::vector<int64_t>& ids,
                            const std::vector<int64_t>& positions) const {
  return weights_.token_embedding.index_select(0, at::tensor(ids))
      .add(
          weights_.positional_embedding.index_select(0, at::tensor(positions)));
}

}  // namespace promptd::clip

#include "clip/text_tower.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <cmath>

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

TextTower::TextTower(const TextWeights& weights,
                     const at::TensorOptions& options)
    : config_(weights.config),
      embed_dim_(weights.embed_dim),
      type_(c10::typeMetaToScalarType(options.dtype())),
      norm_final_(weights.ln_final_weight, weights.ln_final_bias, options) {
  const at::NoGradGuard no_grad;
  const at::TensorOptions floats = options.dtype(at::kFloat);
  token_embedding_ =
      weights.token_embedding.to(floats, /*non_blocking=*/false, /*copy=*/true);
  positional_embedding_ = weights.positional_embedding.to(
      floats, /*non_blocking=*/false, /*copy=*/true);
  const double query_scale =
      1.0 / std::sqrt(static_cast<double>(width() / heads()));
  const size_t layers = weights.blocks.size();
  for (size_t layer = 0; layer < layers; ++layer) {
    blocks_.emplace_back(weights.blocks[layer], query_scale, weights.quick_gelu,
                         layer + 1 == layers, LinearUse::kInputGradient,
                         options);
  }
  projection_ = FrozenLinear(weights.text_projection.t(), at::Tensor(),
                             LinearUse::kInputGradient, options);
}

at::Tensor TextTower::Embed(const std::vector<PromptItem>& items,
                            const std::vector<int64_t>& positions) const {
  std::vector<int64_t> ids, fixed;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].learned()) continue;
    ids.push_back(items[i].token);
    fixed.push_back(static_cast<int64_t>(i));
  }
  const auto index = [this](const std::vector<int64_t>& values) {
    return at::tensor(values, index_options());
  };
  return positional_embedding_.index_select(0, index(positions))
      .index_add_(0, index(fixed),
                  token_embedding_.index_select(0, index(ids)));
}

}  // namespace promptd::clip

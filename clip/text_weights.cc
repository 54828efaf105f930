#include "clip/text_weights.h"

namespace promptd::clip {

absl::StatusOr<TextWeights> TextWeights::Load(
    const weights::EncoderConfig& config, const weights::Safetensors& file) {
  TensorReader reader(file);
  TextWeights tower = Read(config, reader);
  if (!reader.ok()) return reader.status();
  return tower;
}

TextWeights TextWeights::Read(const weights::EncoderConfig& config,
                              TensorReader& reader) {
  const int64_t w = config.text.width;
  TextWeights tower;
  tower.config = config.text;
  tower.embed_dim = config.embed_dim;
  tower.quick_gelu = config.quick_gelu;
  tower.token_embedding =
      reader.Read("token_embedding.weight", {config.text.vocab_size, w});
  tower.positional_embedding =
      reader.Read("positional_embedding", {config.text.context_length, w});
  for (int layer = 0; layer < config.text.layers; ++layer) {
    tower.blocks.push_back(
        BlockWeights::Read("transformer.", layer, w, reader));
  }
  tower.ln_final_weight = reader.Read("ln_final.weight", {w});
  tower.ln_final_bias = reader.Read("ln_final.bias", {w});
  tower.text_projection = reader.Read("text_projection", {w, config.embed_dim});
  return tower;
}

TextWeights TextWeights::To(at::ScalarType type) const {
  TextWeights converted = *this;
  converted.token_embedding = token_embedding.to(type);
  converted.positional_embedding = positional_embedding.to(type);
  for (BlockWeights& block : converted.blocks) block = block.To(type);
  converted.ln_final_weight = ln_final_weight.to(type);
  converted.ln_final_bias = ln_final_bias.to(type);
  converted.text_projection = text_projection.to(type);
  return converted;
}

}  // namespace promptd::clip

#include "clip/text_weights.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace promptd::clip {
namespace {

TextBlockWeights ReadBlock(int64_t width, const std::string& prefix,
                           TensorReader* reader) {
  const int64_t w = width;
  TextBlockWeights block;
  block.ln_1_weight = reader->Read(prefix + "ln_1.weight", {w});
  block.ln_1_bias = reader->Read(prefix + "ln_1.bias", {w});
  block.in_proj_weight =
      reader->Read(prefix + "attn.in_proj_weight", {3 * w, w});
  block.in_proj_bias = reader->Read(prefix + "attn.in_proj_bias", {3 * w});
  block.out_proj_weight = reader->Read(prefix + "attn.out_proj.weight", {w, w});
  block.out_proj_bias = reader->Read(prefix + "attn.out_proj.bias", {w});
  block.ln_2_weight = reader->Read(prefix + "ln_2.weight", {w});
  block.ln_2_bias = reader->Read(prefix + "ln_2.bias", {w});
  block.c_fc_weight = reader->Read(prefix + "mlp.c_fc.weight", {4 * w, w});
  block.c_fc_bias = reader->Read(prefix + "mlp.c_fc.bias", {4 * w});
  block.c_proj_weight = reader->Read(prefix + "mlp.c_proj.weight", {w, 4 * w});
  block.c_proj_bias = reader->Read(prefix + "mlp.c_proj.bias", {w});
  return block;
}

TextBlockWeights ConvertBlock(const TextBlockWeights& block,
                              at::ScalarType type) {
  TextBlockWeights converted = block;
  for (at::Tensor* tensor :
       {&converted.ln_1_weight, &converted.ln_1_bias, &converted.in_proj_weight,
        &converted.in_proj_bias, &converted.out_proj_weight,
        &converted.out_proj_bias, &converted.ln_2_weight, &converted.ln_2_bias,
        &converted.c_fc_weight, &converted.c_fc_bias, &converted.c_proj_weight,
        &converted.c_proj_bias}) {
    *tensor = tensor->to(type);
  }
  return converted;
}

}  // namespace

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
    tower.blocks.push_back(ReadBlock(
        w, absl::StrCat("transformer.resblocks.", layer, "."), &reader));
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
  for (TextBlockWeights& block : converted.blocks) {
    block = ConvertBlock(block, type);
  }
  converted.ln_final_weight = ln_final_weight.to(type);
  converted.ln_final_bias = ln_final_bias.to(type);
  converted.text_projection = text_projection.to(type);
  return converted;
}

}  // namespace promptd::clip

#include "clip/block_weights.h"

#include "absl/strings/str_cat.h"

namespace promptd::clip {

BlockWeights BlockWeights::Read(const std::string& prefix, int layer,
                                int64_t width, TensorReader& reader) {
  const int64_t w = width;
  const auto read = [&](const char* name, const std::vector<int64_t>& shape) {
    return reader.Read(absl::StrCat(prefix, "resblocks.", layer, ".", name),
                       shape);
  };
  BlockWeights block;
  block.ln_1_weight = read("ln_1.weight", {w});
  block.ln_1_bias = read("ln_1.bias", {w});
  block.in_proj_weight = read("attn.in_proj_weight", {3 * w, w});
  block.in_proj_bias = read("attn.in_proj_bias", {3 * w});
  block.out_proj_weight = read("attn.out_proj.weight", {w, w});
  block.out_proj_bias = read("attn.out_proj.bias", {w});
  block.ln_2_weight = read("ln_2.weight", {w});
  block.ln_2_bias = read("ln_2.bias", {w});
  block.c_fc_weight = read("mlp.c_fc.weight", {4 * w, w});
  block.c_fc_bias = read("mlp.c_fc.bias", {4 * w});
  block.c_proj_weight = read("mlp.c_proj.weight", {w, 4 * w});
  block.c_proj_bias = read("mlp.c_proj.bias", {w});
  return block;
}

BlockWeights BlockWeights::To(at::ScalarType type) const {
  BlockWeights converted = *this;
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

}  // namespace promptd::clip

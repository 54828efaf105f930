#include "weights/tensor_assembly.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "weights/architecture.h"

namespace promptd::weights {
namespace {

constexpr size_t kMaxListed = 20;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// What evaluation does not use and libraries store all the same.
bool HoldsNoWeights(const std::string& name, const RawTensor& tensor,
                    const EncoderConfig& config) {
  const int64_t length = config.text.context_length;
  return absl::EndsWith(name, ".num_batches_tracked") ||
         absl::EndsWith(name, ".embeddings.position_ids") ||
         (name == "attn_mask" &&
          tensor.shape == std::vector<int64_t>{length, length});
}

class Assembler {
 public:
  explicit Assembler(RawTensors found) : found_(std::move(found)) {}

  void Make(const std::string& name, std::vector<int64_t> shape,
            const TensorSource& source) {
    // Of what the checkpoint holds, in its own layout.
    if (source.transposed) std::swap(shape[0], shape[1]);
    if (!shape.empty()) shape[0] /= static_cast<int64_t>(source.names.size());
    std::vector<RawTensor> parts;
    for (const std::string& part : source.names) {
      const auto found = found_.find(part);
      if (found == found_.end()) {
        Problem(absl::StrCat(part, " is missing"));
        continue;
      }
      if (Check(part, shape, found->second)) parts.push_back(found->second);
      found_.erase(found);
    }
    if (parts.size() != source.names.size()) return;
    made_[name] = parts.size() > 1    ? Concatenated(parts)
                  : source.transposed ? Transposed(parts[0])
                                      : parts[0];
    if (shape.empty()) made_[name].shape.clear();
  }

  void PassOver(const EncoderConfig& config) {
    for (const auto& [name, tensor] : found_) {
      if (!HoldsNoWeights(name, tensor, config)) {
        Problem(absl::StrCat(name, " ", ShapeText(tensor.shape),
                             " does not belong to this architecture"));
      }
    }
  }

  absl::StatusOr<RawTensors> Finish(absl::string_view source) {
    if (problems_.empty()) return std::move(made_);
    const size_t listed = std::min(problems_.size(), kMaxListed);
    std::string text =
        absl::StrJoin(problems_.begin(), problems_.begin() + listed, "; ");
    if (listed < problems_.size()) {
      absl::StrAppend(&text, "; and ", problems_.size() - listed, " more");
    }
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_WEIGHTS",
                     absl::StrCat(source, ": ", text));
  }

 private:
  bool Check(const std::string& name, const std::vector<int64_t>& shape,
             const RawTensor& tensor) {
    // open_clip writes some scalars with a dimension of one.
    const bool scalar = shape.empty() && tensor.elements() == 1;
    if (tensor.shape != shape && !scalar) {
      Problem(absl::StrCat(name, " has shape ", ShapeText(tensor.shape),
                           " instead of ", ShapeText(shape)));
      return false;
    }
    if (tensor.dtype == DType::kI64) {
      Problem(absl::StrCat(name, " holds integers"));
      return false;
    }
    if (!AllFinite(tensor)) {
      Problem(absl::StrCat(name, " holds NaN or infinity"));
      return false;
    }
    return true;
  }

  void Problem(std::string what) { problems_.push_back(std::move(what)); }

  RawTensors found_;
  RawTensors made_;
  std::vector<std::string> problems_;
};

}  // namespace

TensorSource OpenClipSource(const std::string& name) { return {{name}}; }

TensorSource HuggingFaceSource(const std::string& name) {
  static const auto* const kNames = new std::map<std::string, std::string>{
      {"logit_scale", "logit_scale"},
      {"token_embedding.weight",
       "text_model.embeddings.token_embedding.weight"},
      {"positional_embedding",
       "text_model.embeddings.position_embedding.weight"},
      {"ln_final.weight", "text_model.final_layer_norm.weight"},
      {"ln_final.bias", "text_model.final_layer_norm.bias"},
      {"visual.class_embedding", "vision_model.embeddings.class_embedding"},
      {"visual.positional_embedding",
       "vision_model.embeddings.position_embedding.weight"},
      {"visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"},
      // The library's own spelling.
      {"visual.ln_pre.weight", "vision_model.pre_layrnorm.weight"},
      {"visual.ln_pre.bias", "vision_model.pre_layrnorm.bias"},
      {"visual.ln_post.weight", "vision_model.post_layernorm.weight"},
      {"visual.ln_post.bias", "vision_model.post_layernorm.bias"}};
  if (name == "text_projection") return {{"text_projection.weight"}, true};
  if (name == "visual.proj") return {{"visual_projection.weight"}, true};
  const auto known = kNames->find(name);
  if (known != kNames->end()) return {{known->second}};

  // [visual.]transformer.resblocks.N.PART
  absl::string_view rest = name;
  const bool vision = absl::ConsumePrefix(&rest, "visual.");
  absl::ConsumePrefix(&rest, "transformer.resblocks.");
  const size_t dot = rest.find('.');
  const std::string layer =
      absl::StrCat(vision ? "vision_model" : "text_model", ".encoder.layers.",
                   rest.substr(0, dot), ".");
  const absl::string_view part = rest.substr(dot + 1);
  if (absl::StartsWith(part, "attn.in_proj_")) {
    TensorSource source;
    for (const char* projection : {"q", "k", "v"}) {
      source.names.push_back(
          absl::StrCat(layer, "self_attn.", projection, "_proj.",
                       part.substr(absl::string_view("attn.in_proj_").size())));
    }
    return source;
  }
  for (const auto& [ours, theirs] :
       {std::pair("ln_1.", "layer_norm1."), std::pair("ln_2.", "layer_norm2."),
        std::pair("mlp.c_fc.", "mlp.fc1."),
        std::pair("mlp.c_proj.", "mlp.fc2."),
        std::pair("attn.out_proj.", "self_attn.out_proj.")}) {
    absl::string_view kind = part;
    if (absl::ConsumePrefix(&kind, ours)) {
      return {{absl::StrCat(layer, theirs, kind)}};
    }
  }
  return {{name}};
}

absl::StatusOr<RawTensors> AssembleTensors(
    const EncoderConfig& config, RawTensors found,
    const std::function<TensorSource(const std::string&)>& source_of,
    absl::string_view source) {
  Assembler assembler(std::move(found));
  for (const auto& [name, shape] : ExpectedTensors(config)) {
    assembler.Make(name, shape, source_of(name));
  }
  assembler.PassOver(config);
  return assembler.Finish(source);
}

}  // namespace promptd::weights

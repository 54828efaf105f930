#include "weights/encoder_config.h"

#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "nlohmann/json.hpp"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;

// Members that open_clip knows and we have no arithmetic for, at the value
// where they change nothing.
constexpr char kVisionDefaults[] = R"({
  "mlp_ratio": 4.0, "ls_init_value": null, "attentional_pool": false,
  "no_ln_pre": false, "pos_embed_type": "learnable",
  "final_ln_after_pool": false, "pool_type": "tok", "act_kwargs": null,
  "norm_kwargs": null, "block_type": null, "qk_norm": false,
  "scaled_cosine_attn": false, "scale_heads": false,
  "scale_attn_inner": false, "scale_attn": false, "scale_fc": false,
  "timm_model_name": null})";
constexpr char kTextDefaults[] = R"({
  "hf_tokenizer_name": null, "tokenizer_mode": null, "tokenizer_kwargs": null,
  "mlp_ratio": 4.0, "ls_init_value": null, "embed_cls": false, "pad_id": 0,
  "no_causal_mask": false, "final_ln_after_pool": false,
  "pool_type": "argmax", "proj_bias": false, "proj_type": "linear",
  "act_kwargs": null, "norm_kwargs": null, "block_type": null,
  "qk_norm": false, "scaled_cosine_attn": false, "scale_heads": false,
  "scale_attn_inner": false, "scale_attn": false, "scale_fc": false,
  "hf_model_name": null})";
constexpr char kModelDefaults[] = R"({
  "custom_text": false, "nonscalar_logit_scale": false,
  "init_logit_bias": null, "multimodal_cfg": null})";
constexpr char kPreprocessDefaults[] = R"({
  "mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest"})";

// Reads one JSON object member by member and remembers every problem.
class Members {
 public:
  Members(const Json& object, std::string name,
          std::vector<std::string>& problems)
      : object_(object), name_(std::move(name)), problems_(problems) {
    if (!object_.is_object()) Problem("", "is missing or not an object");
  }

  void Int(const char* key, int low, int high, int& value) {
    const Json* member = Take(key);
    if (member == nullptr) return;
    if (!member->is_number_integer() || *member < low || *member > high) {
      Problem(key,
              absl::StrCat("must be an integer in [", low, ", ", high, "]"));
      return;
    }
    value = member->get<int>();
  }

  void Bool(const char* key, bool& value) {
    const Json* member = Take(key);
    if (member == nullptr) return;
    if (!member->is_boolean()) return Problem(key, "must be true or false");
    value = member->get<bool>();
  }

  void Triple(const char* key, std::array<float, 3>& value, bool positive) {
    const Json* member = Take(key);
    if (member == nullptr) return Problem(key, "is missing");
    bool good = member->is_array() && member->size() == 3;
    for (size_t i = 0; good && i < 3; ++i) {
      const Json& entry = (*member)[i];
      good = entry.is_number() && std::abs(entry.get<double>()) < 1e3 &&
             (!positive || entry.get<double>() > 1e-6);
      if (good) value[i] = entry.get<float>();
    }
    if (!good) Problem(key, "must be three numbers");
  }

  // The member, or nothing when absent or null; it counts as known.
  const Json* Take(const char* key) {
    known_.push_back(key);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  // Refuses what is neither taken nor at its default.
  void Finish(const char* defaults_text) {
    if (!object_.is_object()) return;
    const Json defaults = Json::parse(defaults_text);
    for (const auto& [key, value] : object_.items()) {
      bool known = false;
      for (const std::string& name : known_) known = known || name == key;
      if (known) continue;
      const auto usual = defaults.find(key);
      if (usual == defaults.end()) {
        Problem(key, "is not a member that promptd knows");
      } else if (*usual != value) {
        Problem(key, absl::StrCat("is supported only as ", usual->dump()));
      }
    }
  }

  void Problem(const std::string& key, absl::string_view what) {
    problems_.push_back(
        absl::StrCat(name_, key.empty() ? "" : ".", key, " ", what));
  }

 private:
  const Json& object_;
  const std::string name_;
  std::vector<std::string>& problems_;
  std::vector<std::string> known_;
};

void ReadLayers(Members& members, VisionConfig& vision) {
  const Json* layers = members.Take("layers");
  if (layers == nullptr) return members.Problem("layers", "is missing");
  const auto is_depth = [](const Json& value) {
    return value.is_number_integer() && value >= 1 && value <= 64;
  };
  if (is_depth(*layers)) {
    vision.vit_layers = layers->get<int>();
    return;
  }
  bool good = layers->is_array() && layers->size() == 4;
  for (size_t i = 0; good && i < 4; ++i) good = is_depth((*layers)[i]);
  if (!good) return members.Problem("layers", "must be 1 to 64, or four such");
  vision.resnet_layers = layers->get<std::vector<int>>();
}

void ReadVision(const Json& json, std::vector<std::string>& problems,
                VisionConfig& vision) {
  Members members(json, "vision_cfg", problems);
  members.Int("image_size", 32, 1024, vision.image_size);
  members.Int("width", 2, 4096, vision.width);
  members.Int("head_width", 1, 4096, vision.head_width);
  members.Int("patch_size", 1, 1024, vision.patch_size);
  ReadLayers(members, vision);
  for (const char* training_only :
       {"patch_dropout", "output_tokens", "attn_pooler_queries",
        "attn_pooler_heads", "timm_model_pretrained", "timm_pool", "timm_proj",
        "timm_proj_bias", "timm_drop", "timm_drop_path"}) {
    members.Take(training_only);
  }
  members.Finish(kVisionDefaults);
  if (vision.is_resnet()) {
    if (vision.image_size % 32 != 0) {
      members.Problem("image_size", "must be a multiple of 32 for a ResNet");
    }
    if (vision.width % 2 != 0 || vision.resnet_heads() == 0 ||
        vision.width * 32 % vision.resnet_heads() != 0) {
      members.Problem("width", "does not split into attention heads");
    }
  } else if (vision.patch_size == 0 ||
             vision.image_size % vision.patch_size != 0 ||
             vision.width % vision.head_width != 0) {
    members.Problem("patch_size", "must divide image_size, head_width width");
  }
}

void ReadText(const Json& json, std::vector<std::string>& problems,
              TextConfig& text) {
  Members members(json, "text_cfg", problems);
  members.Int("context_length", 8, 1024, text.context_length);
  members.Int("vocab_size", 514, 1 << 20, text.vocab_size);
  members.Int("width", 8, 8192, text.width);
  members.Int("heads", 1, 256, text.heads);
  members.Int("layers", 1, 64, text.layers);
  for (const char* unused : {"eos_id", "output_tokens", "hf_model_pretrained",
                             "hf_proj_type", "hf_pooler_type"}) {
    members.Take(unused);
  }
  members.Finish(kTextDefaults);
  if (text.width % text.heads != 0) {
    members.Problem("heads", "must divide width");
  }
}

EncoderConfig ReadConfig(const Json& json, std::vector<std::string>& problems) {
  static const Json* const kNothing = new Json();
  const auto part = [](const Json& object, const char* key) -> const Json& {
    const bool there = object.is_object() && object.contains(key);
    return there ? object.at(key) : *kNothing;
  };
  EncoderConfig config;
  Members top(json, "config", problems);
  for (const char* key : {"model_cfg", "preprocess_cfg", "promptd"}) {
    top.Take(key);
  }
  top.Finish("{}");

  const Json& model_json = part(json, "model_cfg");
  Members model(model_json, "model_cfg", problems);
  model.Int("embed_dim", 1, 8192, config.embed_dim);
  model.Bool("quick_gelu", config.quick_gelu);
  for (const char* key : {"vision_cfg", "text_cfg", "init_logit_scale"}) {
    model.Take(key);
  }
  model.Finish(kModelDefaults);
  ReadVision(part(model_json, "vision_cfg"), problems, config.vision);
  ReadText(part(model_json, "text_cfg"), problems, config.text);

  const Json& preprocess_json = part(json, "preprocess_cfg");
  Members preprocess(preprocess_json, "preprocess_cfg", problems);
  preprocess.Triple("mean", config.preprocess.mean, false);
  preprocess.Triple("std", config.preprocess.std, true);
  int size = config.vision.image_size;
  preprocess.Int("size", size, size, size);
  preprocess.Take("fill_color");
  preprocess.Finish(kPreprocessDefaults);

  if (json.is_object() && json.contains("promptd")) {
    Members ours(json.at("promptd"), "promptd", problems);
    ours.Bool("demonstration", config.demonstration);
    ours.Finish("{}");
  }
  return config;
}

}  // namespace

absl::StatusOr<EncoderConfig> ParseEncoderConfig(absl::string_view json) {
  const auto bad = [](absl::string_view what) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_CONFIG",
                     absl::StrCat("open_clip_config.json: ", what));
  };
  const Json parsed =
      Json::parse(json.begin(), json.end(), nullptr, /*exceptions=*/false);
  if (parsed.is_discarded()) return bad("not valid JSON");
  std::vector<std::string> problems;
  EncoderConfig config = ReadConfig(parsed, problems);
  if (!problems.empty()) return bad(absl::StrJoin(problems, "; "));
  return config;
}

}  // namespace promptd::weights

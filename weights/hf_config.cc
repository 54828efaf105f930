#include "weights/hf_config.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;
using Problems = std::vector<std::string>;

// The member, or nothing when absent or null.
const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// One object of a configuration, with the older "..._dict" beside it, whose
// members the library prefers; the two may not disagree.
class Section {
 public:
  Section(std::string name, const Json* object, const Json* older,
          Problems& problems)
      : name_(std::move(name)),
        object_(object == nullptr ? kNothing : *object),
        older_(older == nullptr ? kNothing : *older),
        problems_(problems) {
    if (object != nullptr && !object->is_object()) Problem("", "is no object");
  }

  const Json* Member(const char* key) {
    const Json* value = Find(object_, key);
    const Json* preferred = Find(older_, key);
    if (value != nullptr && preferred != nullptr && *value != *preferred) {
      Problem(key, "differs from the one in the older \"_dict\" form");
    }
    return preferred != nullptr ? preferred : value;
  }

  int Int(const char* key, int usual) {
    const Json* value = Member(key);
    if (value == nullptr) return usual;
    // Sizes may be written as two equal sides.
    if (value->is_array() && value->size() == 2 && (*value)[0] == (*value)[1]) {
      value = &(*value)[0];
    }
    if (!value->is_number_integer() || *value < 0 || *value > 1 << 24) {
      Problem(key, "must be an integer from 0 to 2^24");
      return usual;
    }
    return value->get<int>();
  }

  // A member that promptd supports at one value only.
  void OnlyInt(const char* key, int usual, int supported) {
    if (Int(key, usual) != supported) {
      Problem(key, absl::StrCat("is supported only as ", supported));
    }
  }
  void OnlyTrue(const char* key) {
    const Json* value = Member(key);
    if (value != nullptr && *value != true) {
      Problem(key, "is supported only as true");
    }
  }
  void OnlyNear(const char* key, double supported, double tolerance) {
    const Json* value = Member(key);
    if (value != nullptr &&
        (!value->is_number() ||
         std::abs(value->get<double>() - supported) > tolerance)) {
      Problem(key, absl::StrCat("is supported only as ", supported));
    }
  }

  // True for QuickGELU.
  bool QuickGelu() {
    const Json* value = Member("hidden_act");
    if (value == nullptr || *value == "quick_gelu") return true;
    if (*value != "gelu") {
      Problem("hidden_act", "is supported only as \"quick_gelu\" or \"gelu\"");
    }
    return false;
  }

  void Problem(absl::string_view key, absl::string_view what) {
    problems_.push_back(absl::StrCat(
        name_, name_.empty() || key.empty() ? "" : ".", key, " ", what));
  }

 private:
  inline static const Json kNothing;

  const std::string name_;
  const Json& object_;
  const Json& older_;
  Problems& problems_;
};

absl::Status Refused(absl::string_view source, const Problems& problems) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_HF_CONFIG",
                   absl::StrCat(source, ": ", absl::StrJoin(problems, "; ")));
}

void ReadText(Section& text, EncoderConfig& config) {
  config.text.width = text.Int("hidden_size", 512);
  config.text.layers = text.Int("num_hidden_layers", 12);
  config.text.heads = text.Int("num_attention_heads", 8);
  config.text.context_length = text.Int("max_position_embeddings", 77);
  config.text.vocab_size = text.Int("vocab_size", 49408);
  text.OnlyInt("intermediate_size", 2048, 4 * config.text.width);
  text.OnlyNear("layer_norm_eps", 1e-5, 1e-12);
  // The library takes the features at the marker of that id, or, for the
  // mistaken 2 of old files, at the largest id. CLIP's is the largest.
  const int marker = text.Int("eos_token_id", 49407);
  if (marker != 2 && marker != config.text.vocab_size - 1) {
    text.Problem("eos_token_id", "must be 2 or the last id of the vocabulary");
  }
}

void ReadVision(Section& vision, EncoderConfig& config) {
  config.vision.width = vision.Int("hidden_size", 768);
  config.vision.vit_layers = vision.Int("num_hidden_layers", 12);
  config.vision.image_size = vision.Int("image_size", 224);
  config.vision.patch_size = vision.Int("patch_size", 32);
  const int heads = vision.Int("num_attention_heads", 12);
  if (heads == 0 || config.vision.width % heads != 0) {
    vision.Problem("num_attention_heads", "must divide hidden_size");
  } else {
    config.vision.head_width = config.vision.width / heads;
  }
  vision.OnlyInt("intermediate_size", 3072, 4 * config.vision.width);
  vision.OnlyInt("num_channels", 3, 3);
  vision.OnlyNear("layer_norm_eps", 1e-5, 1e-12);
}

void ReadTriple(Section& section, const char* key,
                std::array<float, 3>& values) {
  const Json* triple = section.Member(key);
  if (triple == nullptr) return;  // OpenAI's
  bool good = triple->is_array() && triple->size() == 3;
  for (size_t i = 0; good && i < 3; ++i) {
    good = (*triple)[i].is_number();
    if (good) values[i] = (*triple)[i].get<float>();
  }
  if (!good) section.Problem(key, "must be three numbers");
}

// A side, or an object of sides: {"shortest_edge": 224}.
void CheckSide(Section& section, const char* key,
               std::initializer_list<const char*> sides, int image_size) {
  const Json* value = section.Member(key);
  bool good = value == nullptr ? image_size == 224 : *value == image_size;
  if (value != nullptr && value->is_object()) {
    good = value->size() == sides.size();
    for (const char* side : sides) {
      const Json* length = Find(*value, side);
      good = good && length != nullptr && *length == image_size;
    }
  }
  if (!good) {
    section.Problem(key, absl::StrCat("must be the image size ", image_size,
                                      " of config.json"));
  }
}

}  // namespace

PreprocessConfig OpenAiPreprocess() {
  return {{0.48145466f, 0.4578275f, 0.40821073f},
          {0.26862954f, 0.26130258f, 0.27577711f}};
}

absl::StatusOr<EncoderConfig> ParseHuggingFaceConfig(absl::string_view json,
                                                     absl::string_view source) {
  const Json parsed =
      Json::parse(json.begin(), json.end(), nullptr, /*exceptions=*/false);
  Problems problems;
  if (!parsed.is_object()) return Refused(source, {"not a JSON object"});
  Section top("", &parsed, nullptr, problems);
  const Json* type = top.Member("model_type");
  if (type == nullptr || *type != "clip") {
    top.Problem("model_type", "must be \"clip\"");
  }
  Section text("text_config", Find(parsed, "text_config"),
               Find(parsed, "text_config_dict"), problems);
  Section vision("vision_config", Find(parsed, "vision_config"),
                 Find(parsed, "vision_config_dict"), problems);
  EncoderConfig config;
  config.embed_dim = top.Int("projection_dim", 512);
  config.preprocess = OpenAiPreprocess();
  ReadText(text, config);
  ReadVision(vision, config);
  config.quick_gelu = text.QuickGelu();
  if (vision.QuickGelu() != config.quick_gelu) {
    vision.Problem("hidden_act", "differs from text_config.hidden_act");
  }
  if (problems.empty()) {
    const absl::Status valid =
        ParseEncoderConfig(WriteEncoderConfig(config)).status();
    if (!valid.ok()) problems.push_back(std::string(valid.message()));
  }
  if (!problems.empty()) return Refused(source, problems);
  return config;
}

absl::Status ReadHuggingFacePreprocessor(absl::string_view json,
                                         absl::string_view source,
                                         EncoderConfig& config) {
  const Json parsed =
      Json::parse(json.begin(), json.end(), nullptr, /*exceptions=*/false);
  if (!parsed.is_object()) return Refused(source, {"not a JSON object"});
  const Json* inner = Find(parsed, "image_processor");
  if (inner == nullptr && Find(parsed, "image_mean") == nullptr &&
      Find(parsed, "size") == nullptr) {
    return absl::OkStatus();  // of a processor without an image processor
  }
  Problems problems;
  Section section("", inner == nullptr ? &parsed : inner, nullptr, problems);
  for (const char* step : {"do_resize", "do_center_crop", "do_rescale",
                           "do_normalize", "do_convert_rgb"}) {
    section.OnlyTrue(step);
  }
  section.OnlyInt("resample", 3, 3);  // bicubic
  section.OnlyNear("rescale_factor", 1.0 / 255, 1e-9);
  const int side = config.vision.image_size;
  CheckSide(section, "size", {"shortest_edge"}, side);
  CheckSide(section, "crop_size", {"height", "width"}, side);
  ReadTriple(section, "image_mean", config.preprocess.mean);
  ReadTriple(section, "image_std", config.preprocess.std);
  if (problems.empty()) {
    const absl::Status valid =
        ParseEncoderConfig(WriteEncoderConfig(config)).status();
    if (!valid.ok()) problems.push_back(std::string(valid.message()));
  }
  return problems.empty() ? absl::OkStatus() : Refused(source, problems);
}

}  // namespace promptd::weights

#include <charconv>
#include <string>

#include "nlohmann/json.hpp"
#include "weights/encoder_config.h"

namespace promptd::weights {
namespace {

// The shortest decimal that reads back as the same float.
double Shortest(float value) {
  char text[32];
  const std::to_chars_result end = std::to_chars(text, text + 32, value);
  double read = 0;
  std::from_chars(text, end.ptr, read);
  return read;
}

nlohmann::ordered_json Triple(const std::array<float, 3>& values) {
  return {Shortest(values[0]), Shortest(values[1]), Shortest(values[2])};
}

}  // namespace

std::string WriteEncoderConfig(const EncoderConfig& config) {
  using Json = nlohmann::ordered_json;
  Json vision;
  vision["image_size"] = config.vision.image_size;
  if (config.vision.is_resnet()) {
    vision["layers"] = config.vision.resnet_layers;
  } else {
    vision["layers"] = config.vision.vit_layers;
  }
  vision["width"] = config.vision.width;
  vision["head_width"] = config.vision.head_width;
  if (!config.vision.is_resnet()) {
    vision["patch_size"] = config.vision.patch_size;
  }
  Json text;
  text["context_length"] = config.text.context_length;
  text["vocab_size"] = config.text.vocab_size;
  text["width"] = config.text.width;
  text["heads"] = config.text.heads;
  text["layers"] = config.text.layers;
  Json json;
  json["model_cfg"]["embed_dim"] = config.embed_dim;
  json["model_cfg"]["quick_gelu"] = config.quick_gelu;
  json["model_cfg"]["vision_cfg"] = std::move(vision);
  json["model_cfg"]["text_cfg"] = std::move(text);
  json["preprocess_cfg"]["mean"] = Triple(config.preprocess.mean);
  json["preprocess_cfg"]["std"] = Triple(config.preprocess.std);
  json["preprocess_cfg"]["interpolation"] = "bicubic";
  json["preprocess_cfg"]["resize_mode"] = "shortest";
  if (config.demonstration) json["promptd"]["demonstration"] = true;
  return json.dump(2) + "\n";
}

}  // namespace promptd::weights

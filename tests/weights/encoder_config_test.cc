#include "weights/encoder_config.h"

#include <gtest/gtest.h>

#include <string>

#include "common/error.h"
#include "nlohmann/json.hpp"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;

Json Good() {
  return Json::parse(R"({
    "model_cfg": {"embed_dim": 256, "quick_gelu": true,
      "vision_cfg": {"layers": [2, 2, 2, 1], "width": 24, "image_size": 64,
                     "patch_size": null},
      "text_cfg": {"context_length": 77, "vocab_size": 4610, "width": 192,
                   "heads": 3, "layers": 4}},
    "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6],
                       "interpolation": "bicubic"}})");
}

TEST(EncoderConfigTest, ReadsOpenClipsTerms) {
  const auto config = ParseEncoderConfig(Good().dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->embed_dim, 256);
  EXPECT_TRUE(config->quick_gelu);
  EXPECT_FALSE(config->demonstration);
  EXPECT_TRUE(config->vision.is_resnet());
  EXPECT_EQ(config->vision.resnet_layers, (std::vector<int>{2, 2, 2, 1}));
  EXPECT_EQ(config->vision.resnet_heads(), 12);
  EXPECT_EQ(config->vision.image_size, 64);
  EXPECT_EQ(config->text.vocab_size, 4610);
  EXPECT_EQ(config->text.heads, 3);
  EXPECT_FLOAT_EQ(config->preprocess.mean[1], 0.2f);
  EXPECT_FLOAT_EQ(config->preprocess.std[2], 0.6f);
}

TEST(EncoderConfigTest, ReadsAVisionTransformer) {
  Json json = Good();
  json["model_cfg"]["vision_cfg"] = {
      {"layers", 12}, {"width", 768}, {"patch_size", 32}, {"image_size", 224}};
  const auto config = ParseEncoderConfig(json.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->vision.is_resnet());
  EXPECT_EQ(config->vision.vit_layers, 12);
}

TEST(EncoderConfigTest, AcceptsDefaultsAndTrainingSettings) {
  Json json = Good();
  json["model_cfg"]["text_cfg"]["pool_type"] = "argmax";
  json["model_cfg"]["text_cfg"]["no_causal_mask"] = false;
  json["model_cfg"]["vision_cfg"]["patch_dropout"] = 0.5;
  json["model_cfg"]["vision_cfg"]["mlp_ratio"] = 4;
  json["promptd"] = {{"demonstration", true}};
  const auto config = ParseEncoderConfig(json.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->demonstration);
}

// Each alteration must be refused with the member's name in the message.
struct Alteration {
  const char* pointer;
  const char* value;
  const char* named;
};

TEST(EncoderConfigTest, RefusesWhatChangesTheArithmetic) {
  const Alteration alterations[] = {
      {"/model_cfg/text_cfg/pool_type", "\"last\"", "text_cfg.pool_type"},
      {"/model_cfg/text_cfg/no_causal_mask", "true", "no_causal_mask"},
      {"/model_cfg/text_cfg/mlp_ratio", "3.0", "text_cfg.mlp_ratio"},
      {"/model_cfg/text_cfg/proj_bias", "true", "proj_bias"},
      {"/model_cfg/text_cfg/hf_model_name", "\"bert\"", "hf_model_name"},
      {"/model_cfg/vision_cfg/pool_type", "\"avg\"", "vision_cfg.pool_type"},
      {"/model_cfg/vision_cfg/timm_model_name", "\"x\"", "timm_model_name"},
      {"/model_cfg/vision_cfg/invented", "1", "vision_cfg.invented"},
      {"/model_cfg/custom_text", "true", "custom_text"},
      {"/model_cfg/init_logit_bias", "-10", "init_logit_bias"},
      {"/preprocess_cfg/interpolation", "\"bilinear\"", "interpolation"},
      {"/preprocess_cfg/resize_mode", "\"squash\"", "resize_mode"},
      {"/preprocess_cfg/size", "224", "preprocess_cfg.size"},
      {"/promptd", "{\"demo\": true}", "promptd.demo"},
      {"/other", "1", "config.other"}};
  for (const Alteration& alteration : alterations) {
    Json json = Good();
    json[Json::json_pointer(alteration.pointer)] =
        Json::parse(alteration.value);
    const auto config = ParseEncoderConfig(json.dump());
    ASSERT_FALSE(config.ok()) << alteration.pointer;
    EXPECT_EQ(ErrorReason(config.status()), "BAD_ENCODER_CONFIG");
    EXPECT_NE(std::string(config.status().message()).find(alteration.named),
              std::string::npos)
        << config.status();
  }
}

TEST(EncoderConfigTest, RefusesImpossibleValues) {
  const Alteration alterations[] = {
      {"/model_cfg/embed_dim", "0", "embed_dim"},
      {"/model_cfg/embed_dim", "99999999999", "embed_dim"},
      {"/model_cfg/embed_dim", "\"256\"", "embed_dim"},
      {"/model_cfg/quick_gelu", "1", "quick_gelu"},
      {"/model_cfg/vision_cfg", "3", "vision_cfg"},
      {"/model_cfg/vision_cfg/layers", "[2, 2, 2]", "layers"},
      {"/model_cfg/vision_cfg/layers", "[2, 2, 2, -1]", "layers"},
      {"/model_cfg/vision_cfg/layers", "{}", "layers"},
      {"/model_cfg/vision_cfg/width", "25", "width"},
      {"/model_cfg/vision_cfg/head_width", "4096", "width"},
      {"/model_cfg/vision_cfg/image_size", "65", "image_size"},
      {"/model_cfg/vision_cfg/image_size", "[64, 64]", "image_size"},
      {"/model_cfg/text_cfg/heads", "5", "heads"},
      {"/model_cfg/text_cfg/layers", "1000", "layers"},
      {"/preprocess_cfg/std", "[0, 1, 1]", "std"},
      {"/preprocess_cfg/mean", "[0, 1]", "mean"},
      {"/preprocess_cfg/mean", "[1e300, 0, 0]", "mean"},
      {"/preprocess_cfg", "null", "preprocess_cfg"},
      {"/model_cfg", "[]", "model_cfg"}};
  for (const Alteration& alteration : alterations) {
    Json json = Good();
    json[Json::json_pointer(alteration.pointer)] =
        Json::parse(alteration.value);
    const auto config = ParseEncoderConfig(json.dump());
    ASSERT_FALSE(config.ok()) << alteration.pointer << alteration.value;
    EXPECT_NE(std::string(config.status().message()).find(alteration.named),
              std::string::npos)
        << config.status();
  }
}

TEST(EncoderConfigTest, RefusesWhatIsNotAnObject) {
  for (const char* text : {"", "{", "[]", "null", "3", "\"x\""}) {
    EXPECT_EQ(ErrorReason(ParseEncoderConfig(text).status()),
              "BAD_ENCODER_CONFIG")
        << text;
  }
}

}  // namespace
}  // namespace promptd::weights

#include "weights/checkpoint_import.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/error.h"
#include "nlohmann/json.hpp"
#include "tests/testing/temp_dir.h"
#include "tests/weights/checkpoint_goldens.h"
#include "weights/encoder_folder.h"
#include "weights/encoder_folder_writer.h"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;

class CheckpointImportTest : public ::testing::Test {
 protected:
  // The digest of the folder that an import gives.
  std::string Digest(const std::string& path, Activation activation) {
    const auto encoder = ReadCheckpoint(path, GoldenOptions(activation));
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    if (!encoder.ok()) return "";
    const std::string folder =
        temporary_.path() + "/e" + std::to_string(++count_);
    const absl::Status written = WriteEncoderFolder(
        folder, encoder->config, encoder->tensors, encoder->merges);
    EXPECT_TRUE(written.ok()) << written;
    const auto opened = EncoderFolder::Open(folder);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? opened->digest.get() : "";
  }

  // A copy of a golden folder to alter.
  std::string Copy(const std::string& golden) {
    const std::string path =
        temporary_.path() + "/copy" + std::to_string(++count_);
    std::filesystem::copy(Golden(golden), path);
    return path;
  }

  // Sets a member of a JSON file; null removes it.
  void Alter(const std::string& path, const std::string& pointer,
             const Json& value) {
    Json json = Json::parse(ReadFile(path, 1 << 20).value());
    json[Json::json_pointer(pointer)] = value;
    ASSERT_TRUE(WriteFileAtomically(path, json.dump()).ok());
  }

  // Rewrites the tensors of a folder's safetensors file.
  void Rewrite(const std::string& path,
               const std::function<void(RawTensors&)>& edit) {
    auto file = Safetensors::FromFile(path);
    ASSERT_TRUE(file.ok()) << file.status();
    RawTensors tensors =
        RawTensorsOf(std::make_shared<const Safetensors>(*std::move(file)));
    edit(tensors);
    ASSERT_TRUE(
        WriteFileAtomically(path, WriteRawSafetensors(tensors).value()).ok());
  }

  absl::Status Import(const std::string& path,
                      Activation activation = Activation::kOfSource) {
    return ReadCheckpoint(path, GoldenOptions(activation)).status();
  }

  const ::promptd::testing::TempDir temporary_;
  int count_ = 0;
};

void ExpectRefusal(const absl::Status& status, const std::string& reason,
                   const std::vector<std::string>& named) {
  EXPECT_EQ(ErrorReason(status), reason) << status;
  for (const std::string& text : named) {
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos)
        << status << "\nlacks " << text;
  }
}

TEST_F(CheckpointImportTest, EveryFormatOfAViTGivesTheSameEncoder) {
  const std::string digest =
      Digest(Golden("vit/open_clip"), Activation::kOfSource);
  EXPECT_EQ(Digest(Golden("vit/openai.pt"), Activation::kOfSource), digest);
  EXPECT_EQ(Digest(Golden("vit/state_dict.bin"), Activation::kQuickGelu),
            digest);
  EXPECT_EQ(Digest(Golden("vit/open_clip/open_clip_model.safetensors"),
                   Activation::kQuickGelu),
            digest);
  EXPECT_EQ(Digest(Golden("vit/hf"), Activation::kOfSource), digest);
  EXPECT_EQ(Digest(Golden("vit/hf_sharded"), Activation::kOfSource), digest);
  const std::string folder = Copy("vit/open_clip");
  std::filesystem::remove(folder + "/open_clip_model.safetensors");
  std::filesystem::copy(Golden("vit/state_dict.bin"),
                        folder + "/open_clip_pytorch_model.bin");
  EXPECT_EQ(Digest(folder, Activation::kOfSource), digest);
  // The result imports to itself.
  EXPECT_EQ(Digest(temporary_.path() + "/e1", Activation::kOfSource), digest);
  EXPECT_NE(Digest(Golden("vit/state_dict.bin"), Activation::kGelu), digest);
}

TEST_F(CheckpointImportTest, EveryFormatOfAResNetGivesTheSameEncoder) {
  const std::string digest =
      Digest(Golden("rn/open_clip"), Activation::kOfSource);
  EXPECT_EQ(Digest(Golden("rn/openai.pt"), Activation::kOfSource), digest);
  EXPECT_EQ(Digest(Golden("rn/training.pt"), Activation::kQuickGelu), digest);
}

TEST_F(CheckpointImportTest, KeepsStoredTypesAndReadsTheArchitecture) {
  const auto vit = ReadCheckpoint(Golden("vit/openai.pt"), GoldenOptions());
  ASSERT_TRUE(vit.ok()) << vit.status();
  EXPECT_EQ(vit->format, "OpenAI TorchScript");
  EXPECT_TRUE(vit->config.quick_gelu);
  EXPECT_EQ(vit->config.embed_dim, 32);
  EXPECT_EQ(vit->config.vision.vit_layers, 1);
  EXPECT_EQ(vit->config.vision.patch_size, 8);
  EXPECT_EQ(vit->config.vision.image_size, 32);
  EXPECT_EQ(vit->config.text.context_length, 16);
  EXPECT_FLOAT_EQ(vit->config.preprocess.mean[0], 0.48145466f);
  EXPECT_EQ(vit->tensors.at("visual.proj").dtype, DType::kF16);
  EXPECT_EQ(vit->tensors.at("ln_final.weight").dtype, DType::kF32);
  const auto resnet = ReadCheckpoint(Golden("rn/openai.pt"), GoldenOptions());
  ASSERT_TRUE(resnet.ok()) << resnet.status();
  EXPECT_EQ(resnet->config.vision.resnet_layers,
            (std::vector<int>{1, 2, 1, 1}));
  for (const auto& [name, tensor] : resnet->tensors) {
    EXPECT_EQ(name.find("num_batches_tracked"), std::string::npos);
  }
}

TEST_F(CheckpointImportTest, HalfPrecisionIsWidenedExactlyOnLoad) {
  const auto encoder = ReadCheckpoint(Golden("vit/openai.pt"), GoldenOptions());
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  ASSERT_TRUE(WriteEncoderFolder(temporary_.path() + "/e", encoder->config,
                                 encoder->tensors, encoder->merges)
                  .ok());
  const auto folder = EncoderFolder::Open(temporary_.path() + "/e");
  ASSERT_TRUE(folder.ok()) << folder.status();
  for (const auto& [name, tensor] : encoder->tensors) {
    EXPECT_EQ(folder->tensors.tensors().at(name).dtype, tensor.dtype);
    const RawTensor wide = Widened(tensor);
    const auto floats = folder->tensors.Floats(name);
    ASSERT_TRUE(floats.ok());
    EXPECT_EQ(
        wide.bytes,
        absl::string_view(reinterpret_cast<const char*>(floats->values.data()),
                          floats->values.size() * sizeof(float)))
        << name;
  }
}

TEST_F(CheckpointImportTest, ActivationIsToldOrKnown) {
  ExpectRefusal(Import(Golden("vit/state_dict.bin")), "ACTIVATION_UNKNOWN",
                {"quick_gelu", "open_clip_config.json"});
  ExpectRefusal(Import(Golden("vit/open_clip"), Activation::kGelu),
                "ACTIVATION_CONFLICT", {"QuickGELU"});
  ExpectRefusal(Import(Golden("vit/hf"), Activation::kGelu),
                "ACTIVATION_CONFLICT", {"config.json"});
  EXPECT_TRUE(Import(Golden("vit/hf"), Activation::kQuickGelu).ok());
  EXPECT_TRUE(Import(Golden("vit/openai.pt"), Activation::kGelu).ok());
}

TEST_F(CheckpointImportTest, BadTensorsAreAllNamed) {
  const std::string folder = Copy("vit/open_clip");
  Rewrite(folder + "/open_clip_model.safetensors", [](RawTensors& tensors) {
    tensors.erase("visual.proj");
    tensors["visual.invented"] = tensors.at("logit_scale");
    tensors["ln_final.bias"] =
        MakeRawTensor(DType::kF32, {63}, std::string(4 * 63, '\0'));
    tensors["ln_final.weight"] =
        MakeRawTensor(DType::kI64, {64}, std::string(8 * 64, '\0'));
    std::string nan(2 * 32 * 64, '\0');
    nan[1001] = '\x7e';
    tensors["text_projection"] = MakeRawTensor(DType::kF16, {64, 32}, nan);
  });
  ExpectRefusal(Import(folder), "BAD_ENCODER_WEIGHTS",
                {"open_clip_model.safetensors", "visual.proj is missing",
                 "visual.invented [] does not belong",
                 "ln_final.bias has shape [63] instead of [64]",
                 "ln_final.weight holds integers",
                 "text_projection holds NaN or infinity"});
}

TEST_F(CheckpointImportTest, OnlyTheFirstTwentyBadTensorsAreListed) {
  const std::string folder = Copy("vit/open_clip");
  Rewrite(folder + "/open_clip_model.safetensors", [](RawTensors& tensors) {
    for (int i = 0; i < 30; ++i) {
      tensors["x" + std::to_string(i)] = tensors.at("logit_scale");
    }
  });
  ExpectRefusal(Import(folder), "BAD_ENCODER_WEIGHTS", {"and 10 more"});
}

TEST_F(CheckpointImportTest, HuggingFaceTensorsAreNamedInItsOwnTerms) {
  const std::string folder = Copy("vit/hf");
  Rewrite(folder + "/model.safetensors", [](RawTensors& tensors) {
    tensors.erase("text_model.encoder.layers.0.self_attn.k_proj.weight");
    tensors["text_projection.weight"] =
        Transposed(tensors.at("text_projection.weight"));
    tensors["vision_model.embeddings.position_ids"] =
        MakeRawTensor(DType::kI64, {1, 17}, std::string(8 * 17, '\0'));
  });
  const absl::Status status = Import(folder);
  ExpectRefusal(
      status, "BAD_ENCODER_WEIGHTS",
      {"text_model.encoder.layers.0.self_attn.k_proj.weight is missing",
       "text_projection.weight has shape [64, 32] instead of [32, 64]"});
  EXPECT_EQ(status.message().find("position_ids"), absl::string_view::npos);
}

TEST_F(CheckpointImportTest, LoneFilesOfOtherModelsAreRefused) {
  ExpectRefusal(Import(Golden("vit/hf/model.safetensors")),
                "UNKNOWN_ARCHITECTURE", {"Hugging Face", "config.json"});
  const std::string path = temporary_.path() + "/other.safetensors";
  ASSERT_TRUE(
      WriteFileAtomically(path, WriteSafetensors({{"a", {{1}, {1}}}}).value())
          .ok());
  ExpectRefusal(Import(path), "UNKNOWN_ARCHITECTURE",
                {"text_projection is missing"});
  ASSERT_TRUE(WriteFileAtomically(path + ".txt", "some text").ok());
  ExpectRefusal(Import(path + ".txt"), "UNKNOWN_CHECKPOINT", {".txt"});
  ExpectRefusal(Import(path + "x"), "FILE_NOT_FOUND", {path});
  ExpectRefusal(Import(temporary_.path()), "UNKNOWN_CHECKPOINT",
                {"open_clip_config.json", "config.json"});
}

TEST_F(CheckpointImportTest, OpenAiSizesMustMatchTheShapes) {
  auto options = GoldenOptions();
  options.merges = ClipMerges();
  ExpectRefusal(ReadCheckpoint(Golden("vit/openai.pt"), options).status(),
                "TOKENIZER_MISMATCH", {"544", "49408"});
}

TEST_F(CheckpointImportTest, ShardsMustBeWhatTheIndexSays) {
  const std::string index = "/model.safetensors.index.json";
  std::string folder = Copy("vit/hf_sharded");
  std::filesystem::remove(folder + "/model-00002-of-00003.safetensors");
  ExpectRefusal(Import(folder), "FILE_NOT_FOUND", {"model-00002"});
  for (const char* name : {"../model.safetensors", "/etc/passwd", "",
                           ".x.safetensors", "sub/model.safetensors"}) {
    folder = Copy("vit/hf_sharded");
    Alter(folder + index, "/weight_map/logit_scale", name);
    ExpectRefusal(Import(folder), "BAD_SHARD_INDEX", {"logit_scale"});
  }
  folder = Copy("vit/hf_sharded");
  Alter(folder + index, "/weight_map/invented",
        "model-00001-of-00003.safetensors");
  ExpectRefusal(Import(folder), "BAD_SHARD_INDEX", {"invented"});
  folder = Copy("vit/hf_sharded");
  Rewrite(folder + "/model-00003-of-00003.safetensors",
          [](RawTensors& tensors) {
            tensors["invented"] =
                MakeRawTensor(DType::kF32, {1}, std::string(4, '\0'));
          });
  ExpectRefusal(Import(folder), "BAD_SHARD_INDEX", {"model-00003"});
  ASSERT_TRUE(WriteFileAtomically(folder + index, "[]").ok());
  ExpectRefusal(Import(folder), "BAD_SHARD_INDEX", {"weight_map"});
}

TEST_F(CheckpointImportTest, OtherTokenizersAreRefused) {
  std::string folder = Copy("vit/hf");
  Alter(folder + "/vocab.json", "/the</w>", 3);
  ExpectRefusal(Import(folder), "TOKENIZER_MISMATCH", {"vocab.json"});
  folder = Copy("vit/hf");
  Alter(folder + "/tokenizer.json", "/model/merges/0", {"n", "i"});
  ExpectRefusal(Import(folder), "TOKENIZER_MISMATCH", {"tokenizer.json"});
  folder = Copy("vit/hf");
  std::string merges = ReadFile(folder + "/merges.txt", 1 << 20).value();
  merges[merges.find("i n")] = 'j';
  ASSERT_TRUE(WriteFileAtomically(folder + "/merges.txt", merges).ok());
  ExpectRefusal(Import(folder), "TOKENIZER_MISMATCH", {"merges.txt"});
  for (const char* name : {"merges.txt", "vocab.json", "tokenizer.json"}) {
    std::filesystem::remove(folder + "/" + name);
  }
  EXPECT_TRUE(Import(folder).ok());
}

// Each alteration must be refused with the member's name in the message.
TEST_F(CheckpointImportTest, OtherArithmeticInConfigJsonIsRefused) {
  const std::vector<std::pair<std::string, Json>> alterations = {
      {"/model_type", "siglip"},
      {"/projection_dim", 0},
      {"/text_config/hidden_act", "gelu"},
      {"/text_config/hidden_act", "gelu_new"},
      {"/text_config/eos_token_id", 7},
      {"/text_config/layer_norm_eps", 1e-6},
      {"/text_config/intermediate_size", 128},
      {"/text_config/num_hidden_layers", "1"},
      {"/text_config/num_attention_heads", 3},
      {"/vision_config/num_channels", 4},
      {"/vision_config/num_attention_heads", 0},
      {"/vision_config/patch_size", {8, 16}},
      {"/vision_config/image_size", 33},
      {"/vision_config", 3},
      {"/text_config_dict", {{"hidden_size", 128}}}};
  for (const auto& [pointer, value] : alterations) {
    const std::string folder = Copy("vit/hf");
    Alter(folder + "/config.json", pointer, value);
    const absl::Status status = Import(folder);
    EXPECT_EQ(ErrorReason(status), "BAD_HF_CONFIG") << pointer << status;
    EXPECT_NE(std::string(status.message()).find("config.json"),
              std::string::npos);
  }
  const std::string folder = Copy("vit/hf");
  Alter(folder + "/config.json", "/text_config/eos_token_id", 2);
  Alter(folder + "/config.json", "/text_config_dict", {{"hidden_size", 64}});
  EXPECT_TRUE(Import(folder).ok()) << Import(folder);
}

TEST_F(CheckpointImportTest, OtherPreprocessingIsRefused) {
  const std::vector<std::pair<std::string, Json>> alterations = {
      {"resample", 2},
      {"do_center_crop", false},
      {"do_normalize", false},
      {"do_resize", false},
      {"rescale_factor", 1.0},
      {"size", {{"height", 32}, {"width", 32}}},
      {"size", 64},
      {"crop_size", 31},
      {"image_mean", {0.5}},
      {"image_std", {0, 1, 1}},
      {"do_convert_rgb", false}};
  for (const auto& [member, value] : alterations) {
    const std::string folder = Copy("vit/hf");
    Alter(folder + "/preprocessor_config.json", "/" + member, value);
    ExpectRefusal(
        Import(folder), "BAD_HF_CONFIG",
        {"preprocessor_config.json", member == "image_std" ? "std" : member});
  }
  const std::string folder = Copy("vit/hf");
  Alter(folder + "/preprocessor_config.json", "/image_mean", {0.5, 0.25, 0});
  Alter(folder + "/preprocessor_config.json", "/size", 32);
  const auto encoder = ReadCheckpoint(folder, GoldenOptions());
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_EQ(encoder->config.preprocess.mean[1], 0.25f);
}

}  // namespace
}  // namespace promptd::weights

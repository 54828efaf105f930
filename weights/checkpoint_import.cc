#include "weights/checkpoint_import.h"

#include <filesystem>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/architecture.h"
#include "weights/checkpoint_files.h"
#include "weights/clip_vocabulary.h"
#include "weights/encoder_folder.h"
#include "weights/hf_config.h"
#include "weights/tensor_assembly.h"

namespace promptd::weights {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 20;
constexpr int64_t kMaxMergesBytes = int64_t{16} << 20;
constexpr char kOpenClipTorchFile[] = "open_clip_pytorch_model.bin";
constexpr char kHuggingFaceConfig[] = "config.json";
constexpr char kHuggingFaceIndex[] = "model.safetensors.index.json";

absl::Status Refused(absl::string_view reason, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, what);
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// Of a source whose configuration says it.
absl::Status CheckActivation(const std::string& path, bool quick_gelu,
                             Activation wanted) {
  if (wanted == Activation::kOfSource ||
      (wanted == Activation::kQuickGelu) == quick_gelu) {
    return absl::OkStatus();
  }
  return Refused("ACTIVATION_CONFLICT",
                 absl::StrCat(path, " says ", quick_gelu ? "QuickGELU" : "GELU",
                              ", not the activation asked for"));
}

absl::StatusOr<std::string> ClipMerges(const std::string& path,
                                       const EncoderConfig& config,
                                       const std::string& merges) {
  if (MergesVocabSize(merges) == config.text.vocab_size) return merges;
  return Refused("TOKENIZER_MISMATCH",
                 absl::StrCat(path, ": vocab_size is ", config.text.vocab_size,
                              ", CLIP's tokenizer has ",
                              MergesVocabSize(merges), " tokens"));
}

// The first of `names` that is in the folder.
absl::StatusOr<std::string> FindWeights(
    const std::string& folder, std::initializer_list<const char*> names) {
  std::string tried;
  for (const char* name : names) {
    if (Exists(absl::StrCat(folder, "/", name))) return std::string(name);
    absl::StrAppend(&tried, tried.empty() ? "" : ", ", name);
  }
  return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                   absl::StrCat(folder, " has no weights: none of ", tried));
}

absl::StatusOr<ImportedEncoder> ReadOpenClipFolder(
    const std::string& folder, const ImportOptions& options) {
  const std::string config_path = absl::StrCat(folder, "/", kEncoderConfigFile);
  ASSIGN_OR_RETURN(const std::string json,
                   ReadFile(config_path, kMaxConfigBytes));
  absl::StatusOr<EncoderConfig> config = ParseEncoderConfig(json);
  if (!config.ok()) return Annotate(config.status(), folder);
  RETURN_IF_ERROR(
      CheckActivation(config_path, config->quick_gelu, options.activation));
  ImportedEncoder encoder;
  encoder.config = *std::move(config);
  encoder.format = "OpenCLIP folder";
  // An encoder of promptd's may have merges of its own.
  const std::string merges_path = absl::StrCat(folder, "/", kEncoderMergesFile);
  encoder.merges = options.merges;
  if (Exists(merges_path)) {
    ASSIGN_OR_RETURN(const std::string own,
                     ReadFile(merges_path, kMaxMergesBytes));
    if (!SameMerges(own, options.merges)) encoder.merges = own;
  }
  ASSIGN_OR_RETURN(encoder.merges,
                   ClipMerges(folder, encoder.config, encoder.merges));
  ASSIGN_OR_RETURN(
      const std::string weights,
      FindWeights(folder, {kEncoderWeightsFile, kOpenClipTorchFile}));
  const std::string weights_path = absl::StrCat(folder, "/", weights);
  ASSIGN_OR_RETURN(CheckpointTensors read,
                   ReadCheckpointFile(weights_path, options.max_weights_bytes));
  ASSIGN_OR_RETURN(encoder.tensors,
                   AssembleTensors(encoder.config, std::move(read.tensors),
                                   OpenClipSource, weights_path));
  return encoder;
}

absl::StatusOr<ImportedEncoder> ReadHuggingFaceFolder(
    const std::string& folder, const ImportOptions& options) {
  const std::string config_path = absl::StrCat(folder, "/", kHuggingFaceConfig);
  ASSIGN_OR_RETURN(const std::string json,
                   ReadFile(config_path, kMaxConfigBytes));
  ImportedEncoder encoder;
  encoder.format = "Hugging Face folder";
  ASSIGN_OR_RETURN(encoder.config, ParseHuggingFaceConfig(json, config_path));
  RETURN_IF_ERROR(CheckActivation(config_path, encoder.config.quick_gelu,
                                  options.activation));
  for (const char* name :
       {"preprocessor_config.json", "processor_config.json"}) {
    const std::string path = absl::StrCat(folder, "/", name);
    if (!Exists(path)) continue;
    ASSIGN_OR_RETURN(const std::string preprocessor,
                     ReadFile(path, kMaxConfigBytes));
    RETURN_IF_ERROR(
        ReadHuggingFacePreprocessor(preprocessor, path, encoder.config));
    break;
  }
  ASSIGN_OR_RETURN(encoder.merges,
                   ClipMerges(folder, encoder.config, options.merges));
  RETURN_IF_ERROR(CheckHuggingFaceTokenizer(folder, encoder.merges));
  ASSIGN_OR_RETURN(const std::string weights,
                   FindWeights(folder, {"model.safetensors", kHuggingFaceIndex,
                                        "pytorch_model.bin"}));
  const std::string weights_path = absl::StrCat(folder, "/", weights);
  ASSIGN_OR_RETURN(
      CheckpointTensors read,
      weights == kHuggingFaceIndex
          ? ReadCheckpointShards(folder, weights, options.max_weights_bytes)
          : ReadCheckpointFile(weights_path, options.max_weights_bytes));
  ASSIGN_OR_RETURN(encoder.tensors,
                   AssembleTensors(encoder.config, std::move(read.tensors),
                                   HuggingFaceSource, weights_path));
  return encoder;
}

// The sizes that OpenAI's files carry, which must be those of the shapes.
absl::StatusOr<bool> IsOpenAi(const std::string& path,
                              const CheckpointTensors& read,
                              const EncoderConfig& config) {
  const std::map<std::string, int64_t> sizes = {
      {"input_resolution", config.vision.image_size},
      {"context_length", config.text.context_length},
      {"vocab_size", config.text.vocab_size}};
  size_t there = 0;
  for (const auto& [name, size] : sizes) {
    const auto found = read.scalars.find(name);
    if (found == read.scalars.end()) continue;
    ++there;
    if (found->second != size) {
      return Refused("UNKNOWN_ARCHITECTURE",
                     absl::StrCat(path, ": ", name, " is ", found->second,
                                  ", the shapes say ", size));
    }
  }
  return there == sizes.size();
}

absl::StatusOr<ImportedEncoder> ReadLoneFile(const std::string& path,
                                             const ImportOptions& options) {
  ASSIGN_OR_RETURN(CheckpointTensors read,
                   ReadCheckpointFile(path, options.max_weights_bytes));
  ImportedEncoder encoder;
  ASSIGN_OR_RETURN(encoder.config, InferArchitecture(read.tensors, path));
  ASSIGN_OR_RETURN(const bool open_ai, IsOpenAi(path, read, encoder.config));
  if (!open_ai && options.activation == Activation::kOfSource) {
    return Refused(
        "ACTIVATION_UNKNOWN",
        absl::StrCat(path,
                     " does not say its activation: say quick_gelu for "
                     "OpenAI's weights and for models that OpenCLIP names "
                     "...-quickgelu, gelu for its others, or give the folder "
                     "with open_clip_config.json"));
  }
  encoder.config.quick_gelu = options.activation != Activation::kGelu;
  encoder.config.preprocess = OpenAiPreprocess();
  encoder.format =
      absl::StrCat(open_ai ? "OpenAI" : "OpenCLIP",
                   read.is_torchscript ? " TorchScript" : " state dict");
  ASSIGN_OR_RETURN(encoder.merges,
                   ClipMerges(path, encoder.config, options.merges));
  ASSIGN_OR_RETURN(encoder.tensors,
                   AssembleTensors(encoder.config, std::move(read.tensors),
                                   OpenClipSource, path));
  return encoder;
}

}  // namespace

absl::StatusOr<ImportedEncoder> ReadCheckpoint(const std::string& path,
                                               const ImportOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    return ReadLoneFile(path, options);
  }
  if (Exists(absl::StrCat(path, "/", kEncoderConfigFile))) {
    return ReadOpenClipFolder(path, options);
  }
  if (Exists(absl::StrCat(path, "/", kHuggingFaceConfig))) {
    return ReadHuggingFaceFolder(path, options);
  }
  return Refused("UNKNOWN_CHECKPOINT",
                 absl::StrCat(path, " has neither ", kEncoderConfigFile,
                              " (OpenCLIP) nor ", kHuggingFaceConfig,
                              " (Hugging Face): give a file or such a folder"));
}

}  // namespace promptd::weights

#include "client/encoder_import.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/bundle.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/checkpoint_import.h"
#include "weights/encoder_folder.h"
#include "weights/encoder_folder_removal.h"
#include "weights/encoder_folder_writer.h"

namespace promptd::client {
namespace {

constexpr int64_t kMaxMergesBytes = 16 << 20;

weights::Activation ActivationOf(const std::string& name) {
  if (name == "gelu") return weights::Activation::kGelu;
  if (name == "quickgelu") return weights::Activation::kQuickGelu;
  return weights::Activation::kOfSource;
}

std::string Describe(const weights::VisionConfig& vision) {
  if (vision.is_resnet()) {
    return absl::StrCat("modified ResNet (",
                        absl::StrJoin(vision.resnet_layers, ", "), "), width ",
                        vision.width);
  }
  return absl::StrCat("vision transformer, ", vision.vit_layers,
                      " layers, width ", vision.width, ", patches of ",
                      vision.patch_size, " px");
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
      absl::StrCat("cannot make the folder ", path, ": ", error.message()));
}

}  // namespace

absl::StatusOr<std::string> ImportedEncoders(const std::string& data_dir) {
  if (!data_dir.empty()) return absl::StrCat(data_dir, "/encoders");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_DATA_DIR",
                     "there is no home folder: give --data-dir");
  }
  return absl::StrCat(home, "/.local/share/promptd/encoders");
}

absl::StatusOr<ImportReport> ImportEncoder(const EncoderImport& import) {
  ASSIGN_OR_RETURN(const std::string encoders,
                   ImportedEncoders(import.data_dir));
  const std::string folder = absl::StrCat(encoders, "/", import.name);
  if (!weights::IsEncoderName(import.name)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_NAME",
                     absl::StrCat("\"", import.name,
                                  "\" cannot name an encoder: take 1 to 64 "
                                  "of a-z 0-9 . _ -"));
  }
  ASSIGN_OR_RETURN(const std::string models, FindModels());
  weights::ImportOptions options;
  options.activation = ActivationOf(import.activation);
  ASSIGN_OR_RETURN(
      options.merges,
      ReadFile(absl::StrCat(models, "/clip/merges.txt"), kMaxMergesBytes));
  ImportReport report;
  {
    ASSIGN_OR_RETURN(const weights::ImportedEncoder encoder,
                     weights::ReadCheckpoint(import.source, options));
    RETURN_IF_ERROR(MakeFolder(encoders));
    weights::RemoveLeftovers(encoders);
    RETURN_IF_ERROR(weights::WriteEncoderFolder(
        folder, encoder.config, encoder.tensors, encoder.merges));
    report.format = encoder.format;
    for (const auto& [name, tensor] : encoder.tensors) {
      report.parameters += tensor.elements();
    }
  }
  ASSIGN_OR_RETURN(const weights::EncoderFolder written,
                   weights::EncoderFolder::Open(folder));
  report.folder = folder;
  report.digest = written.digest.get();
  report.image_tower = Describe(written.config.vision);
  report.image_size = written.config.vision.image_size;
  report.embed_dim = written.config.embed_dim;
  return report;
}

}  // namespace promptd::client

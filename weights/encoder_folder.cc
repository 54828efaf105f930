#include "weights/encoder_folder.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/file.h"
#include "common/mapped_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "weights/digest_record.h"

namespace promptd::weights {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{1} << 20;
constexpr int64_t kMaxMergesBytes = int64_t{16} << 20;
constexpr int64_t kMaxWeightsBytes = int64_t{8} << 30;
// Smaller files are hashed in less time than a person sees.
constexpr size_t kRecordedFromBytes = size_t{64} << 20;

// The folder's last component, also for "dir/" and "dir/.".
std::string FolderName(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder.filename().string();
}

// Configuration, merges, weights.
std::vector<std::string> FilePaths(const std::string& folder) {
  std::vector<std::string> paths;
  for (const char* file :
       {kEncoderConfigFile, kEncoderMergesFile, kEncoderWeightsFile}) {
    paths.push_back(absl::StrCat(folder, "/", file));
  }
  return paths;
}

// Of the three files' SHA-256s.
std::string Digest(absl::string_view config, absl::string_view merges,
                   absl::string_view weights) {
  return Sha256Hex(absl::StrCat("promptd encoder 1\n", kEncoderMergesFile, " ",
                                merges, "\n", kEncoderConfigFile, " ", config,
                                "\n", kEncoderWeightsFile, " ", weights, "\n"));
}

}  // namespace

bool IsEncoderName(absl::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.') return false;
  for (char c : name) {
    if (!absl::ascii_islower(static_cast<unsigned char>(c)) &&
        !absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '.' &&
        c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

absl::StatusOr<std::string> HashEncoderFolder(
    const std::string& path, const std::function<bool()>& cancelled) {
  const auto hash = [&](const char* file) {
    return HashFile(absl::StrCat(path, "/", file), cancelled);
  };
  ASSIGN_OR_RETURN(const std::string config, hash(kEncoderConfigFile));
  ASSIGN_OR_RETURN(const std::string merges, hash(kEncoderMergesFile));
  ASSIGN_OR_RETURN(const std::string weights, hash(kEncoderWeightsFile));
  return Digest(config, merges, weights);
}

absl::StatusOr<EncoderFolder> EncoderFolder::Open(const std::string& path) {
  std::string name = FolderName(path);
  if (!IsEncoderName(name)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_NAME",
                     absl::StrCat("the folder ", path,
                                  " names its encoder: "
                                  "use 1 to 64 of a-z 0-9 . _ -"));
  }
  const std::vector<std::string> paths = FilePaths(path);
  const std::vector<std::string> marks = FileMarks(paths);  // before reading
  const std::string& weights_path = paths.back();
  ASSIGN_OR_RETURN(const std::string config_bytes,
                   ReadFile(paths[0], kMaxConfigBytes));
  ASSIGN_OR_RETURN(const std::string merges,
                   ReadFile(paths[1], kMaxMergesBytes));
  ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> weights,
                   MappedFile::Open(weights_path, kMaxWeightsBytes));

  absl::StatusOr<EncoderConfig> config = ParseEncoderConfig(config_bytes);
  if (!config.ok()) {
    return Annotate(config.status(), absl::StrCat("encoder ", name));
  }
  SafetensorsLimits limits;
  limits.max_file_bytes = kMaxWeightsBytes;
  ASSIGN_OR_RETURN(Safetensors tensors,
                   Safetensors::FromMapped(weights, weights_path, limits));
  EncoderFolder folder{.name = std::move(name),
                       .digest = {},
                       .digest_from_record = false,
                       .marks = {},
                       .config = *std::move(config),
                       .tensors = std::move(tensors),
                       .merges = merges};
  if (weights->bytes().size() >= kRecordedFromBytes) folder.marks = marks;
  if (const auto recorded = RecordedDigest(path, marks)) {
    std::promise<std::string> known;
    known.set_value(*recorded);
    folder.digest = known.get_future().share();
    folder.digest_from_record = true;
    return folder;
  }
  folder.digest = std::async(std::launch::async,
                             [weights, config_digest = Sha256Hex(config_bytes),
                              merges_digest = Sha256Hex(merges)] {
                               return Digest(config_digest, merges_digest,
                                             Sha256Hex(weights->bytes()));
                             });
  return folder;
}

bool RememberDigest(const std::string& path, const std::string& digest,
                    const std::vector<std::string>& marks) {
  return RecordDigest(path, digest, FilePaths(path), marks, absl::Now());
}

}  // namespace promptd::weights

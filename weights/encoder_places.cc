#include "weights/encoder_places.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::weights {
namespace {

// The embedded encoder's folder; empty when there is none.
std::string EmbeddedEncoder() {
  std::error_code error;
  const char* models = std::getenv("PROMPTD_MODELS");
  if (models != nullptr && *models != '\0') {
    return absl::StrCat(models, "/embedded");
  }
  auto folder = std::filesystem::read_symlink("/proc/self/exe", error);
  while (!error && folder.has_relative_path()) {
    folder = folder.parent_path();
    const auto candidate = folder / "models" / "embedded";
    if (std::filesystem::is_directory(candidate, error)) {
      return candidate.string();
    }
    error.clear();
  }
  return "";
}

std::vector<std::string> ImportedEncoders(const std::string& data_dir) {
  std::vector<std::string> folders;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(
           absl::StrCat(data_dir, "/encoders"), ignored)) {
    const std::string name = entry.path().filename().string();
    // A name with a dot in front is an import that has not ended.
    if (name[0] != '.' && entry.is_directory(ignored)) {
      folders.push_back(entry.path().string());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> EncoderPlaces(
    const std::vector<std::string>& named, const std::string& data_dir) {
  if (!named.empty()) return named;
  std::vector<std::string> places = ImportedEncoders(data_dir);
  const std::string embedded = EmbeddedEncoder();
  if (!embedded.empty()) places.push_back(embedded);
  if (!places.empty()) return places;
  return MakeError(absl::StatusCode::kNotFound, "NO_ENCODER",
                   "found no models/embedded beside the program: give "
                   "--encoder, or set PROMPTD_MODELS");
}

absl::StatusOr<std::string> DefaultDataDir() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') {
    return absl::StrCat(home, "/.local/share/promptd");
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "NO_DATA_DIR",
                   "there is no home folder: give --data-dir");
}

}  // namespace promptd::weights

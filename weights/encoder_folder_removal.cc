#include "weights/encoder_folder_removal.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/id.h"
#include "common/status_macros.h"

namespace promptd::weights {
namespace {

// promptd loads no folder whose name begins with a dot.
constexpr char kAside[] = ".remove-";

absl::Status CannotRemove(const std::string& path, absl::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
                   absl::StrCat("cannot remove ", path, ": ", why));
}

// Whether the entries of a folder may be deleted, asked before any is.
bool MayEmpty(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::is_symlink(folder, ignored) ||
         ::access(folder.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

absl::Status RemoveEncoderFolder(const std::string& path) {
  const std::filesystem::path folder(path);
  if (!MayEmpty(folder)) return CannotRemove(path, std::strerror(errno));
  const std::filesystem::path aside =
      folder.parent_path() / absl::StrCat(kAside, NewUuid());
  std::error_code error;
  std::filesystem::rename(folder, aside, error);
  if (error) return CannotRemove(path, error.message());
  // Deleted files must not outlive the new name in a power cut.
  RETURN_IF_ERROR(SyncFolder(aside.parent_path().string()));
  std::filesystem::remove_all(aside, error);
  if (error) {
    return CannotRemove(
        aside.string(),
        absl::StrCat(error.message(), ", where ", path,
                     " was moved: delete it by hand, promptd does not load "
                     "it"));
  }
  return SyncFolder(aside.parent_path().string());
}

void RemoveLeftovers(const std::string& encoders) {
  std::error_code ignored;
  std::vector<std::filesystem::path> leftovers;
  for (const auto& entry :
       std::filesystem::directory_iterator(encoders, ignored)) {
    if (absl::StartsWith(entry.path().filename().string(), kAside)) {
      leftovers.push_back(entry.path());
    }
  }
  for (const std::filesystem::path& path : leftovers) {
    std::filesystem::remove_all(path, ignored);
  }
}

}  // namespace promptd::weights

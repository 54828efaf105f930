#include "client/temp_folder.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::client {

TempFolder::TempFolder(std::string path, bool temporary)
    : path_(std::move(path)), temporary_(temporary) {}

TempFolder::TempFolder(TempFolder&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, false)) {}

TempFolder::~TempFolder() { Remove(); }

absl::StatusOr<TempFolder> TempFolder::Make(const std::string& prefix) {
  std::error_code error;
  const std::filesystem::path place =
      std::filesystem::temp_directory_path(error);
  std::string pattern = (place / (prefix + "XXXXXX")).string();
  if (error || ::mkdtemp(pattern.data()) == nullptr) {
    return MakeError(absl::StatusCode::kInternal, "NO_TEMP_FOLDER",
                     absl::StrCat("cannot make a folder in ", place.string(),
                                  ": set TMPDIR to a writable folder"));
  }
  return TempFolder(std::move(pattern), true);
}

absl::StatusOr<TempFolder> TempFolder::Keep(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NO_FOLDER",
        absl::StrCat("cannot make the folder ", path, ": ", error.message()));
  }
  return TempFolder(std::filesystem::absolute(path, error).string(), false);
}

void TempFolder::Remove() {
  if (!std::exchange(temporary_, false)) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace promptd::client

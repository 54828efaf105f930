#include "datasets/folder_listing.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "datasets/name_rules.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;

void MakeUnusable(absl::string_view reason, absl::string_view message,
                  FolderEntry* entry) {
  entry->kind = FolderEntry::Kind::kUnusable;
  entry->reason = std::string(reason);
  entry->message = std::string(message);
}

bool IsInside(const std::string& path, const std::string& root) {
  return path == root ||
         absl::StartsWith(path, root == "/" ? root : root + "/");
}

// Whether the symlink at `path` may be followed; else marks `entry`.
bool MayFollow(const fs::path& path, const std::string& root,
               FolderEntry* entry) {
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (error) {
    MakeUnusable("BROKEN_SYMLINK", "a symlink to nothing that can be reached",
                 entry);
    return false;
  }
  if (!IsInside(target.string(), root)) {
    MakeUnusable("SYMLINK_OUTSIDE_ROOT",
                 "a symlink that leaves the folder: copy the file into it",
                 entry);
    return false;
  }
  return true;
}

FolderEntry ReadEntry(const fs::directory_entry& found,
                      const std::string& root) {
  FolderEntry entry;
  entry.name = found.path().filename().string();
  if (!IsPlainText(entry.name)) {
    MakeUnusable("BAD_FILE_NAME",
                 "the name is not UTF-8 text without control characters: "
                 "rename it",
                 &entry);
    return entry;
  }
  std::error_code error;
  if (found.is_symlink(error) && !MayFollow(found.path(), root, &entry)) {
    return entry;
  }
  if (found.is_directory(error)) {
    entry.kind = FolderEntry::Kind::kFolder;
  } else if (found.is_regular_file(error)) {
    entry.kind = FolderEntry::Kind::kFile;
  } else {
    MakeUnusable("NOT_A_REGULAR_FILE", "neither a file nor a folder", &entry);
  }
  return entry;
}

}  // namespace

absl::StatusOr<std::vector<FolderEntry>> ListFolder(const std::string& folder,
                                                    const std::string& root) {
  std::vector<FolderEntry> entries;
  std::error_code error;
  fs::directory_iterator next(folder, error);
  while (!error && next != fs::directory_iterator()) {
    entries.push_back(ReadEntry(*next, root));
    next.increment(error);
  }
  if (error) {
    return MakeError(
        absl::StatusCode::kUnavailable, "FOLDER_UNREADABLE",
        absl::StrCat("cannot read the folder ", folder, ": ", error.message()));
  }
  std::sort(entries.begin(), entries.end(),
            [](const FolderEntry& a, const FolderEntry& b) {
              return a.name < b.name;
            });
  return entries;
}

bool IsIgnoredName(const std::string& name) {
  return absl::StartsWith(name, ".") || name == "__MACOSX" ||
         name == "Thumbs.db" || name == "desktop.ini";
}

}  // namespace promptd::datasets

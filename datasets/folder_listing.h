// One folder's entries, sorted, with symlinks resolved inside a root. Private
// to this room: the file-system half of datasets/folder_reader.h.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::datasets {

struct FolderEntry {
  enum class Kind { kFile, kFolder, kUnusable };
  std::string name;
  Kind kind = Kind::kUnusable;
  // Of an unusable entry: a stable reason and a sentence.
  std::string reason;
  std::string message;
};

// The entries of `folder` in byte order of their names. `root` is canonical;
// symlinks that leave it, dangling ones, devices and names that are not plain
// text are unusable entries. UNAVAILABLE (FOLDER_UNREADABLE).
absl::StatusOr<std::vector<FolderEntry>> ListFolder(const std::string& folder,
                                                    const std::string& root);

// Whether a file or folder of this name is left out without a word: hidden
// ones and what operating systems leave behind.
bool IsIgnoredName(const std::string& name);

}  // namespace promptd::datasets

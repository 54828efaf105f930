#include "client/bundle.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxParents = 5;

bool IsFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool IsExecutable(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> TaskNames(const std::string& models) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(fs::path(models) / "tasks", ignored)) {
    // What has no training images is a benchmark's target, not a task.
    if (IsFolder(entry.path() / "train")) {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string ExecutableFolder() {
  std::error_code ignored;
  const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  return self.empty() ? "." : self.parent_path().string();
}

absl::StatusOr<std::string> FindModels() {
  if (const char* given = std::getenv("PROMPTD_MODELS");
      given != nullptr && *given != '\0') {
    if (IsFolder(fs::path(given) / "tasks")) return std::string(given);
    return MakeError(absl::StatusCode::kNotFound, "MODELS_NOT_FOUND",
                     absl::StrCat("PROMPTD_MODELS=", given,
                                  " has no folder \"tasks\": point it at "
                                  "promptd's models folder"));
  }
  fs::path folder = ExecutableFolder();
  for (int i = 0; i <= kMaxParents; ++i) {
    for (const char* place : {"models", "share/promptd/models"}) {
      const fs::path candidate = folder / place;
      if (IsFolder(candidate / "tasks")) return candidate.string();
    }
    if (!folder.has_relative_path()) break;
    folder = folder.parent_path();
  }
  return MakeError(
      absl::StatusCode::kNotFound, "MODELS_NOT_FOUND",
      absl::StrCat("no models folder in or above ", ExecutableFolder(),
                   ": set PROMPTD_MODELS to promptd's models "
                   "folder"));
}

absl::StatusOr<BundledTask> FindBundledTask(const std::string& models,
                                            const std::string& task) {
  std::string name = task;
  if (name.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     ReadFile(absl::StrCat(models, "/tasks/DEFAULT"), 4096));
    name = std::string(absl::StripAsciiWhitespace(text));
  }
  const std::vector<std::string> names = TaskNames(models);
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return MakeError(
        absl::StatusCode::kNotFound, "TASK_NOT_BUNDLED",
        absl::StrCat("no bundled task \"", name, "\": take one of ",
                     absl::StrJoin(names, ", ")));
  }
  return BundledTask{name, absl::StrCat(models, "/tasks/", name)};
}

bool IsBundledTask(const std::string& name) {
  const absl::StatusOr<std::string> models = FindModels();
  if (!models.ok()) return false;
  const std::vector<std::string> names = TaskNames(*models);
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsBundledFolder(const std::string& folder) {
  const absl::StatusOr<std::string> models = FindModels();
  if (!models.ok()) return false;
  std::error_code error;
  const fs::path own = fs::canonical(folder, error);
  if (error) return false;
  const fs::path tasks = fs::canonical(fs::path(*models) / "tasks", error);
  if (error) return false;
  const auto [end, unused] =
      std::mismatch(tasks.begin(), tasks.end(), own.begin(), own.end());
  return end == tasks.end();
}

absl::StatusOr<std::string> FindServer(const std::string& given) {
  if (!given.empty()) {
    if (IsExecutable(given)) return given;
    return MakeError(absl::StatusCode::kNotFound, "SERVER_NOT_FOUND",
                     absl::StrCat(given,
                                  " is not an executable file: pass "
                                  "promptd's path with --promptd"));
  }
  const fs::path own = ExecutableFolder();
  std::vector<fs::path> candidates = {own / "promptd",
                                      own / ".." / "server" / "promptd"};
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (absl::string_view folder : absl::StrSplit(path, ':')) {
      if (!folder.empty()) {
        candidates.push_back(fs::path(std::string(folder)) / "promptd");
      }
    }
  }
  for (const fs::path& candidate : candidates) {
    if (IsExecutable(candidate)) return candidate.lexically_normal().string();
  }
  return MakeError(absl::StatusCode::kNotFound, "SERVER_NOT_FOUND",
                   absl::StrCat("no promptd beside ", own.string(),
                                ", in ../server or on the PATH: build it, or "
                                "pass --promptd FILE"));
}

}  // namespace promptd::client

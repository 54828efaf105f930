#include "client/local_dataset.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/exit_code.h"
#include "client/progress.h"
#include "client/text.h"
#include "common/error.h"
#include "datasets/name_rules.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

// "pets" of "./pets/", and of "." inside pets.
std::string NameOfFolder(const std::string& folder) {
  std::error_code error;
  fs::path path = fs::canonical(folder, error);
  if (error) path = fs::path(folder).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  return FoldName(path.filename().string());
}

}  // namespace

absl::StatusOr<datasets::FolderDataset> ReadLocalDataset(
    Session& session, const std::string& folder, const std::string& name) {
  datasets::FolderOptions options;
  options.name = name.empty() ? NameOfFolder(folder) : name;
  if (!datasets::IsDatasetName(options.name)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, kUsageReason,
        absl::StrCat("\"", options.name,
                     "\" cannot name a dataset: choose one with --name, of "
                     "lower-case letters, digits, dots, dashes and "
                     "underscores, at most 63"));
  }
  Progress progress(session.console, session.clock);
  options.progress = [&progress](int64_t read, int64_t total) {
    progress.Update(
        "scan",
        total == 0 ? 1.0
                   : static_cast<double>(read) / static_cast<double>(total),
        absl::StrCat(read, " of ", total, " files"));
  };
  return datasets::ReadDatasetFolder(folder, options);
}

}  // namespace promptd::client

#include "datasets/folder_reader.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/folder_listing.h"
#include "datasets/image.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;

constexpr char kLayouts[] =
    "lay it out as ROOT/train/<class>/<image> (and val, test beside train) or "
    "as ROOT/<class>/<image>";

bool IsNote(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return absl::EndsWith(lower, ".json") || absl::EndsWith(lower, ".md") ||
         absl::EndsWith(lower, ".txt");
}

// A file that was found in a class folder.
struct Candidate {
  std::string path;  // relative to the root
  std::string class_folder;
  Split split = Split::kTrain;
};

// One reading of one folder. Used by one thread.
class Reader {
 public:
  Reader(std::string root, const FolderOptions& options)
      : root_(std::move(root)), options_(options) {}

  absl::StatusOr<FolderDataset> Read() {
    RETURN_IF_ERROR(ListRoot());
    RETURN_IF_ERROR(NumberClasses());
    std::sort(
        candidates_.begin(), candidates_.end(),
        [](const Candidate& a, const Candidate& b) { return a.path < b.path; });
    int64_t read = 0;
    for (const Candidate& candidate : candidates_) {
      ReadCandidate(candidate);
      if (options_.progress) {
        options_.progress(++read, static_cast<int64_t>(candidates_.size()));
      }
    }
    RETURN_IF_ERROR(ExpectImages());
    std::vector<SkippedFile>& skipped = dataset_.report.skipped;
    std::sort(skipped.begin(), skipped.end(),
              [](const SkippedFile& a, const SkippedFile& b) {
                return a.path < b.path;
              });
    dataset_.manifest.name = options_.name;
    RETURN_IF_ERROR(Annotate(ValidateManifest(dataset_.manifest), root_));
    return std::move(dataset_);
  }

 private:
  absl::Status ListRoot() {
    ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries,
                     ListFolder(root_, root_));
    for (const FolderEntry& entry : entries) {
      if (entry.kind == FolderEntry::Kind::kFolder && SplitOfWord(entry.name)) {
        dataset_.report.has_splits = true;
      }
    }
    if (!dataset_.report.has_splits) {
      ListClasses(entries, "", Split::kTrain);
      return absl::OkStatus();
    }
    return ListSplits(entries);
  }

  absl::Status ListSplits(const std::vector<FolderEntry>& entries) {
    std::map<Split, std::string> folder_of_split;
    for (const FolderEntry& entry : FoldersOnly(entries, "")) {
      const std::optional<Split> split = SplitOfWord(entry.name);
      if (!split) {
        Skip(entry.name, "NOT_A_SPLIT",
             "a folder beside train, val and test: move it elsewhere");
        continue;
      }
      const auto [other, is_new] = folder_of_split.emplace(*split, entry.name);
      if (!is_new) {
        return MakeError(
            absl::StatusCode::kInvalidArgument, "DUPLICATE_SPLIT",
            absl::StrCat(root_, " has both ", other->second, " and ",
                         entry.name, ": join them in one folder"));
      }
      const auto inside = ListFolder(Absolute(entry.name), root_);
      if (!inside.ok()) {
        Skip(entry.name, inside.status());
        continue;
      }
      ListClasses(*inside, entry.name + "/", *split);
    }
    return absl::OkStatus();
  }

  // `prefix` is "" or "<split>/": where `entries` were found.
  void ListClasses(const std::vector<FolderEntry>& entries,
                   const std::string& prefix, Split split) {
    for (const FolderEntry& entry : FoldersOnly(entries, prefix)) {
      const std::string path = prefix + entry.name;
      const auto inside = ListFolder(Absolute(path), root_);
      if (!inside.ok()) {
        Skip(path, inside.status());
        continue;
      }
      class_index_.emplace(entry.name, 0);
      ListImages(*inside, path + "/", entry.name, split);
    }
  }

  void ListImages(const std::vector<FolderEntry>& entries,
                  const std::string& prefix, const std::string& class_folder,
                  Split split) {
    for (const FolderEntry& entry : entries) {
      const std::string path = prefix + entry.name;
      if (IsIgnoredName(entry.name)) {
        ++dataset_.report.ignored_files;
      } else if (entry.kind == FolderEntry::Kind::kFile) {
        candidates_.push_back({path, class_folder, split});
      } else if (entry.kind == FolderEntry::Kind::kFolder) {
        Skip(path, "NESTED_FOLDER",
             "a folder inside a class folder is not read: move its images up");
      } else {
        Skip(path, entry.reason, entry.message);
      }
    }
  }

  // The folders among `entries`; what else is there is counted or listed.
  std::vector<FolderEntry> FoldersOnly(const std::vector<FolderEntry>& entries,
                                       const std::string& prefix) {
    std::vector<FolderEntry> folders;
    for (const FolderEntry& entry : entries) {
      if (IsIgnoredName(entry.name)) {
        ++dataset_.report.ignored_files;
      } else if (entry.kind == FolderEntry::Kind::kFolder) {
        folders.push_back(entry);
      } else if (entry.kind == FolderEntry::Kind::kUnusable) {
        Skip(prefix + entry.name, entry.reason, entry.message);
      } else if (IsNote(entry.name)) {
        ++dataset_.report.ignored_files;
      } else {
        Skip(prefix + entry.name, "NOT_IN_A_CLASS",
             "a file outside every class folder: move it into one");
      }
    }
    return folders;
  }

  absl::Status NumberClasses() {
    if (class_index_.empty()) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "NO_CLASSES",
          absl::StrCat(root_, " has no class folders: ", kLayouts));
    }
    if (class_index_.size() == 1) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "ONE_CLASS",
          absl::StrCat(root_, " has only the class folder ",
                       class_index_.begin()->first,
                       ": a classifier needs at least two; ", kLayouts));
    }
    for (auto& [folder, index] : class_index_) {
      index = static_cast<int>(dataset_.manifest.class_names.size());
      dataset_.manifest.class_names.push_back(
          absl::StrReplaceAll(folder, {{"_", " "}}));
    }
    return absl::OkStatus();
  }

  void ReadCandidate(const Candidate& candidate) {
    const std::string file = Absolute(candidate.path);
    const auto bytes = ReadFile(file, options_.limits.max_bytes);
    if (!bytes.ok()) return Skip(candidate.path, bytes.status());
    const absl::Status readable =
        options_.decode ? DecodeImage(*bytes, options_.limits).status()
                        : ReadImageHeader(*bytes, options_.limits).status();
    if (!readable.ok()) return Skip(candidate.path, readable);
    const std::string digest = Sha256Hex(*bytes);
    if (!dataset_.source_of_digest.emplace(digest, ImageSource{file}).second) {
      ++dataset_.report.repeated_images;
    }
    dataset_.manifest.items.push_back({candidate.path, digest,
                                       class_index_.at(candidate.class_folder),
                                       candidate.split});
  }

  absl::Status ExpectImages() const {
    if (!dataset_.manifest.items.empty()) return absl::OkStatus();
    std::string message =
        absl::StrCat(root_, " has class folders but no image to use: ");
    if (dataset_.report.skipped.empty()) {
      absl::StrAppend(&message, "put JPEG, PNG or WebP files into them");
    } else {
      const SkippedFile& first = dataset_.report.skipped.front();
      absl::StrAppend(&message, dataset_.report.skipped.size(),
                      " files were refused, the first ", first.path, " (",
                      first.message, ")");
    }
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_IMAGES", message);
  }

  void Skip(const std::string& path, absl::string_view reason,
            absl::string_view message) {
    dataset_.report.skipped.push_back(
        {path, std::string(reason), std::string(message)});
  }
  void Skip(const std::string& path, const absl::Status& status) {
    Skip(path, ErrorReason(status), status.message());
  }

  std::string Absolute(const std::string& path) const {
    return absl::StrCat(root_, root_ == "/" ? "" : "/", path);
  }

  const std::string root_;  // canonical
  const FolderOptions& options_;
  FolderDataset dataset_;
  std::vector<Candidate> candidates_;
  std::map<std::string, int> class_index_;  // by folder name
};

}  // namespace

absl::StatusOr<FolderDataset> ReadDatasetFolder(const std::string& root,
                                                const FolderOptions& options) {
  std::error_code error;
  const fs::path canonical = fs::canonical(root, error);
  if (error) {
    return MakeError(absl::StatusCode::kNotFound, "FOLDER_NOT_FOUND",
                     absl::StrCat("cannot open the folder ", root, ": ",
                                  error.message(), ": check the path"));
  }
  if (!fs::is_directory(canonical, error)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NOT_A_FOLDER",
        absl::StrCat(root,
                     " is not a folder: give the folder that holds the "
                     "class folders"));
  }
  return Reader(canonical.string(), options).Read();
}

}  // namespace promptd::datasets

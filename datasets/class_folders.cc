#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"
#include "datasets/coop_lists.h"
#include "datasets/folder_listing.h"
#include "datasets/list_text.h"
#include "datasets/name_rules.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;

constexpr char kClassNames[] = "classnames.txt";

// CLIP's list gives two pairs of ImageNet's classes one name each, which no
// prompt can tell apart. Of each pair, one keeps its WordNet name.
const std::map<std::string, std::string>& NamesOfTwins() {
  static const auto* const names = new std::map<std::string, std::string>{
      {"n04008634", "projectile"},  // else "missile", as n03773504
      {"n04355933", "sunglass"},    // else "sunglasses", as n04356056
  };
  return *names;
}

struct NamedFolder {
  std::string folder;  // a WordNet id
  std::string name;
  std::string where;
};

// One reading of one dataset. Used by one thread.
class ClassFolderReader {
 public:
  ClassFolderReader(const CoopFolder& at, const ClassFolders& folders)
      : at_(at), folders_(folders) {}

  absl::StatusOr<ImageList> Read() {
    RETURN_IF_ERROR(ReadNames());
    if (folders_.train != nullptr) {
      RETURN_IF_ERROR(ReadSplit(folders_.train, Split::kTrain));
    }
    RETURN_IF_ERROR(ReadSplit(folders_.test, Split::kTest));
    list_.class_names = classes_.Names(kClassNames, &problems_);
    return FinishList(std::move(list_), std::move(problems_));
  }

 private:
  absl::Status ReadNames() {
    ASSIGN_OR_RETURN(const std::vector<TextLine> lines,
                     ReadListLines(at_.Absolute(kClassNames)));
    for (const TextLine& line : lines) {
      const std::string where =
          absl::StrCat(kClassNames, ": line ", line.number);
      const std::pair<std::string, std::string> halves = absl::StrSplit(
          absl::StripAsciiWhitespace(line.text), absl::MaxSplits(' ', 1));
      if (halves.second.empty()) {
        problems_.Add(where, absl::StrCat(QuotedText(line.text),
                                          " is not like \"n01440764 tench\""));
      } else if (!line_of_folder_.emplace(halves.first, names_.size()).second) {
        problems_.Add(
            where, absl::StrCat(QuotedText(halves.first), " is there twice"));
      } else {
        names_.push_back({halves.first, halves.second, where});
      }
    }
    RenameTwins();
    return absl::OkStatus();
  }

  // Decided on the whole file, so that ImageNet and its variants agree.
  void RenameTwins() {
    std::map<std::string, std::vector<size_t>> uses;
    for (size_t i = 0; i < names_.size(); ++i) {
      uses[FoldClassName(names_[i].name)].push_back(i);
    }
    for (const auto& [unused, lines] : uses) {
      if (lines.size() < 2) continue;
      for (const size_t i : lines) {
        const auto own = NamesOfTwins().find(names_[i].folder);
        if (own == NamesOfTwins().end()) continue;
        list_.notes.push_back(absl::StrCat(
            names_[i].where, " names ", names_[i].folder, " \"", names_[i].name,
            "\", as another class: it is \"", own->second, "\" here"));
        names_[i].name = own->second;
      }
    }
  }

  absl::Status ReadSplit(const std::string& folder, Split split) {
    const std::string below =
        folder.empty() ? at_.images : absl::StrCat(at_.images, "/", folder);
    std::error_code error;
    const fs::path real = fs::canonical(at_.Absolute(below), error);
    if (error) {
      problems_.Add(below, absl::StrCat("is not in ", at_.folder));
      return absl::OkStatus();
    }
    list_.roots.push_back(real.string());
    ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries,
                     ListFolder(real.string(), real.string()));
    std::map<std::string, int64_t> labels;
    for (const FolderEntry& entry : entries) {
      if (IsIgnoredName(entry.name)) continue;
      if (entry.kind == FolderEntry::Kind::kUnusable) {
        problems_.Add(absl::StrCat(below, "/", entry.name), entry.message);
      } else if (entry.kind == FolderEntry::Kind::kFolder) {
        labels.emplace(entry.name, static_cast<int64_t>(labels.size()));
      }
    }
    if (folders_.numbered) Renumber(below, &labels);
    ExpectTheSame(below, labels);
    for (const auto& [name, label] : labels) {
      RETURN_IF_ERROR(ReadClass(real.string(), below, name, label, split));
    }
    return absl::OkStatus();
  }

  // Folder "12" has label 12, a line of classnames.txt.
  void Renumber(const std::string& below,
                std::map<std::string, int64_t>* labels) {
    for (auto& [name, label] : *labels) {
      if (!absl::SimpleAtoi(name, &label)) label = -1;
      if (label >= 0 && label < static_cast<int64_t>(names_.size()) &&
          name == absl::StrCat(label)) {
        continue;
      }
      problems_.Add(absl::StrCat(below, "/", name),
                    absl::StrCat("is no label: ", kClassNames, " has 0 to ",
                                 static_cast<int64_t>(names_.size()) - 1));
      label = -1;
    }
    for (size_t i = 0; i < names_.size(); ++i) {
      if (labels->count(absl::StrCat(i)) > 0) continue;
      problems_.Add(names_[i].where,
                    absl::StrCat(QuotedText(names_[i].name), " has no folder ",
                                 below, "/", i));
    }
  }

  // The second split must have the first one's classes.
  void ExpectTheSame(const std::string& below,
                     const std::map<std::string, int64_t>& labels) {
    if (first_below_.empty()) {
      first_below_ = below;
      first_labels_ = labels;
      return;
    }
    for (const auto& [name, unused] : first_labels_) {
      if (labels.count(name) == 0) {
        problems_.Add(absl::StrCat(below, "/", name),
                      absl::StrCat("is missing; ", first_below_, " has it"));
      }
    }
    for (const auto& [name, unused] : labels) {
      if (first_labels_.count(name) == 0) {
        problems_.Add(absl::StrCat(first_below_, "/", name),
                      absl::StrCat("is missing; ", below, " has it"));
      }
    }
  }

  absl::Status ReadClass(const std::string& real, const std::string& below,
                         const std::string& name, int64_t label, Split split) {
    const std::string where = absl::StrCat(below, "/", name);
    if (label < 0) return absl::OkStatus();
    const auto line =
        folders_.numbered ? line_of_folder_.end() : line_of_folder_.find(name);
    if (!folders_.numbered && line == line_of_folder_.end()) {
      problems_.Add(where, absl::StrCat(kClassNames, " does not name it"));
      return absl::OkStatus();
    }
    const NamedFolder& named =
        names_[folders_.numbered ? static_cast<size_t>(label) : line->second];
    if (!classes_.Note(label, named.name, named.where, named.where,
                       &problems_)) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::vector<FolderEntry> files,
                     ListFolder(absl::StrCat(real, "/", name), real));
    const size_t before = list_.images.size();
    for (const FolderEntry& file : files) {
      if (IsIgnoredName(file.name)) continue;
      const std::string path = absl::StrCat(where, "/", file.name);
      if (file.kind != FolderEntry::Kind::kFile) {
        problems_.Add(path, file.kind == FolderEntry::Kind::kFolder
                                ? "is a folder inside a class"
                                : file.message);
        continue;
      }
      list_.images.push_back(
          {path, {at_.Absolute(path)}, static_cast<int>(label), split, where});
    }
    if (list_.images.size() == before) problems_.Add(where, "has no image");
    return absl::OkStatus();
  }

  const CoopFolder& at_;
  const ClassFolders& folders_;
  std::vector<NamedFolder> names_;                // in classnames.txt's order
  std::map<std::string, size_t> line_of_folder_;  // into names_
  std::string first_below_;
  std::map<std::string, int64_t> first_labels_;
  ImageList list_;
  ClassBook classes_;
  ListProblems problems_;
};

}  // namespace

absl::StatusOr<ImageList> ReadClassFolders(const CoopFolder& at,
                                           const ClassFolders& folders) {
  return ClassFolderReader(at, folders).Read();
}

}  // namespace promptd::datasets

#include "datasets/image_list.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "datasets/name_rules.h"

namespace promptd::datasets {
namespace {

// Of a path's first use.
struct FirstUse {
  const ListedImage* image;
};

void CheckPaths(const ImageList& list, ListProblems* problems) {
  absl::flat_hash_map<absl::string_view, FirstUse> first_use;
  first_use.reserve(list.images.size());
  for (const ListedImage& image : list.images) {
    if (const std::string problem = PathProblem(image.path); !problem.empty()) {
      problems->Add(image.where,
                    absl::StrCat(QuotedText(image.path), " ", problem));
      continue;
    }
    const auto [earlier, is_new] =
        first_use.emplace(image.path, FirstUse{&image});
    if (is_new) continue;
    const ListedImage& first = *earlier->second.image;
    problems->Add(
        image.where,
        first.split == image.split
            ? absl::StrCat(QuotedText(image.path),
                           " is listed twice, first at ", first.where)
            : absl::StrCat(QuotedText(image.path), " is in the splits ",
                           SplitName(first.split), " (", first.where, ") and ",
                           SplitName(image.split),
                           ": an image belongs to one split"));
  }
}

void CheckClasses(const ImageList& list, ListProblems* problems) {
  const auto classes = static_cast<int>(list.class_names.size());
  if (classes == 1) {
    problems->Add("classes", absl::StrCat("the only class is ",
                                          QuotedText(list.class_names[0]),
                                          ": a classifier needs two"));
  }
  std::vector<int64_t> images(list.class_names.size(), 0);
  for (const ListedImage& image : list.images) {
    if (image.label >= 0 && image.label < classes) {
      ++images[static_cast<size_t>(image.label)];
    } else {
      problems->Add(image.where,
                    absl::StrCat("label ", image.label, " is not one of the ",
                                 classes, " classes"));
    }
  }
  for (size_t i = 0; i < images.size(); ++i) {
    if (images[i] > 0) continue;
    problems->Add(absl::StrCat("class ", i),
                  absl::StrCat(QuotedText(list.class_names[i]),
                               " has no image in any split"));
  }
}

}  // namespace

bool ClassBook::Note(int64_t label, const std::string& name,
                     const std::string& where_label,
                     const std::string& where_name, ListProblems* problems) {
  if (label < 0 || label >= ManifestLimits{}.max_classes) {
    problems->Add(where_label, absl::StrCat("label ", label,
                                            " is out of range: labels are "
                                            "0 to ",
                                            ManifestLimits{}.max_classes - 1));
    return false;
  }
  if (!IsPlainText(name) || FoldClassName(name).empty()) {
    problems->Add(where_name,
                  absl::StrCat(QuotedText(name),
                               " is no class name: write UTF-8 text without "
                               "control characters"));
    return false;
  }
  const auto [entry, is_new] =
      entry_of_label_.emplace(label, Entry{name, where_name});
  if (!is_new) {
    if (entry->second.name == name) return true;
    problems->Add(where_name,
                  absl::StrCat("label ", label, " is ", QuotedText(name),
                               " here and ", QuotedText(entry->second.name),
                               " at ", entry->second.where));
    return false;
  }
  const auto [other, unused] =
      label_of_folded_name_.emplace(FoldClassName(name), label);
  if (unused) return true;
  problems->Add(where_label,
                absl::StrCat(QuotedText(name), " has label ", label,
                             " here and ", other->second, " at ",
                             entry_of_label_.at(other->second).where));
  return false;
}

std::vector<std::string> ClassBook::Names(const std::string& where,
                                          ListProblems* problems) const {
  std::vector<std::string> names;
  int64_t expected = 0;
  for (const auto& [label, entry] : entry_of_label_) {
    if (label > expected) {
      problems->Add(where,
                    absl::StrCat(label - expected == 1
                                     ? absl::StrCat("label ", expected, " is")
                                     : absl::StrCat("labels ", expected, " to ",
                                                    label - 1, " are"),
                                 " not used, ", label,
                                 " is: labels count up from 0 without a gap"));
    }
    expected = label + 1;
    names.push_back(ReadableName(entry.name));
  }
  return names;
}

absl::StatusOr<ImageList> FinishList(ImageList list, ListProblems problems) {
  // What a reader found makes these follow; say each thing once.
  if (problems.empty() && list.images.empty()) {
    problems.Add("images", "the list names no image");
  }
  CheckPaths(list, &problems);
  if (problems.empty()) CheckClasses(list, &problems);
  const absl::Status status = problems.ToStatus("INVALID_IMAGE_LIST");
  if (!status.ok()) return status;
  return list;
}

std::string ReadableName(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"_", " "}});
}

}  // namespace promptd::datasets

#include "datasets/manifest.h"

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"
#include "datasets/name_rules.h"

namespace promptd::datasets {
namespace {

// Past this many, problems are only counted.
constexpr size_t kMaxListedProblems = 50;
constexpr size_t kMaxQuotedNameBytes = 80;

std::string Quoted(absl::string_view text) {
  const bool cut = text.size() > kMaxQuotedNameBytes;
  return absl::StrCat("\"",
                      absl::CHexEscape(text.substr(0, kMaxQuotedNameBytes)),
                      cut ? "..." : "", "\"");
}

// Collects problems; the list is bounded, the count is not.
class Problems {
 public:
  void Add(std::string field, std::string description) {
    ++count_;
    if (listed_.size() < kMaxListedProblems) {
      listed_.push_back({std::move(field), std::move(description)});
    }
  }

  absl::Status ToStatus() {
    if (count_ == 0) return absl::OkStatus();
    if (count_ > kMaxListedProblems) {
      listed_.push_back(
          {"manifest", absl::StrCat("and ", count_ - kMaxListedProblems,
                                    " more problems like these")});
    }
    return InvalidFields("INVALID_MANIFEST", listed_);
  }

 private:
  size_t count_ = 0;
  std::vector<FieldViolation> listed_;
};

void CheckClassNames(const std::vector<std::string>& names,
                     const ManifestLimits& limits, Problems* problems) {
  const size_t count = names.size();
  if (count == 0) {
    problems->Add("class_names", "is empty: name at least one class");
  }
  if (count > static_cast<size_t>(limits.max_classes)) {
    problems->Add("class_names",
                  absl::StrCat("has ", count, " classes; the limit is ",
                               limits.max_classes));
    return;
  }
  absl::flat_hash_map<std::string, size_t> first_use;
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = names[i];
    const std::string field = absl::StrCat("class_names[", i, "]");
    if (name.size() > static_cast<size_t>(limits.max_name_bytes)) {
      problems->Add(
          field, absl::StrCat(Quoted(name), " has ", name.size(),
                              " bytes; the limit is ", limits.max_name_bytes));
      continue;
    }
    if (!IsPlainText(name)) {
      problems->Add(field, absl::StrCat(Quoted(name),
                                        " is not UTF-8 text without "
                                        "control characters"));
      continue;
    }
    const std::string folded = FoldClassName(name);
    if (folded.empty()) {
      problems->Add(field, absl::StrCat(Quoted(name), " is an empty name"));
      continue;
    }
    const auto [earlier, is_new] = first_use.emplace(folded, i);
    if (!is_new) {
      problems->Add(
          field, absl::StrCat(Quoted(name), " is the same name to CLIP as ",
                              Quoted(names[earlier->second]), " (class_names[",
                              earlier->second, "]): rename one of them"));
    }
  }
}

void CheckItem(const Manifest& manifest, size_t index,
               const ManifestLimits& limits,
               absl::flat_hash_set<absl::string_view>* paths,
               Problems* problems) {
  const Item& item = manifest.items[index];
  const std::string field = absl::StrCat("items[", index, "]");
  if (item.path.size() > static_cast<size_t>(limits.max_path_bytes)) {
    problems->Add(field + ".path",
                  absl::StrCat("has ", item.path.size(),
                               " bytes; the limit is ", limits.max_path_bytes));
  } else if (const std::string problem = PathProblem(item.path);
             !problem.empty()) {
    problems->Add(field + ".path",
                  absl::StrCat(Quoted(item.path), " ", problem));
  } else if (!paths->insert(item.path).second) {
    problems->Add(field + ".path",
                  absl::StrCat(Quoted(item.path), " is there twice"));
  }
  if (!IsSha256Hex(item.digest)) {
    problems->Add(field + ".digest",
                  absl::StrCat(Quoted(item.digest),
                               " is not a SHA-256 in lower-case hexadecimal"));
  }
  if (item.class_index < 0 ||
      static_cast<size_t>(item.class_index) >= manifest.class_names.size()) {
    problems->Add(field + ".class_index",
                  absl::StrCat(item.class_index, " is not one of the ",
                               manifest.class_names.size(), " classes"));
  }
  if (SplitName(item.split).empty()) {
    problems->Add(field + ".split", "is not train, val or test");
  }
}

void AppendText(absl::string_view text, std::string* out) {
  absl::StrAppend(out, text.size(), ":", text, "\n");
}

}  // namespace

absl::string_view SplitName(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kVal:
      return "val";
    case Split::kTest:
      return "test";
  }
  return "";
}

std::optional<Split> SplitOfWord(absl::string_view word) {
  const std::string lower = absl::AsciiStrToLower(word);
  if (lower == "train") return Split::kTrain;
  if (lower == "val" || lower == "valid" || lower == "validation") {
    return Split::kVal;
  }
  if (lower == "test") return Split::kTest;
  return std::nullopt;
}

std::vector<int> ItemsOfSplit(const Manifest& manifest, Split split) {
  std::vector<int> items;
  for (size_t i = 0; i < manifest.items.size(); ++i) {
    if (manifest.items[i].split == split) items.push_back(static_cast<int>(i));
  }
  return items;
}

absl::Status ValidateManifest(const Manifest& manifest,
                              const ManifestLimits& limits) {
  Problems problems;
  if (!IsDatasetName(manifest.name)) {
    problems.Add(
        "name", absl::StrCat(Quoted(manifest.name),
                             " cannot name a dataset: use 1 to 63 of a-z, 0-9, "
                             "\".\", \"_\", \"-\", beginning with a letter or "
                             "a digit"));
  }
  CheckClassNames(manifest.class_names, limits, &problems);
  const size_t count = manifest.items.size();
  if (count == 0) problems.Add("items", "is empty: add at least one image");
  if (static_cast<int64_t>(count) > limits.max_images) {
    problems.Add("items", absl::StrCat("has ", count, " images; the limit is ",
                                       limits.max_images));
    return problems.ToStatus();
  }
  absl::flat_hash_set<absl::string_view> paths;
  paths.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    CheckItem(manifest, i, limits, &paths, &problems);
  }
  return problems.ToStatus();
}

absl::Status ValidateClassNames(const std::vector<std::string>& names,
                                const ManifestLimits& limits) {
  Problems problems;
  CheckClassNames(names, limits, &problems);
  return problems.ToStatus();
}

// Every text is preceded by its length, so that no two manifests share a
// canonical text.
std::string ManifestDigest(const Manifest& manifest) {
  Sha256 digest;
  std::string text = absl::StrCat("promptd manifest 1\nclasses ",
                                  manifest.class_names.size(), "\n");
  for (const std::string& name : manifest.class_names) {
    AppendText(name, &text);
  }
  absl::StrAppend(&text, "items ", manifest.items.size(), "\n");
  digest.Update(text);
  for (const Item& item : manifest.items) {
    text.clear();
    absl::StrAppend(&text, SplitName(item.split), " ", item.class_index, "\n");
    AppendText(item.digest, &text);
    AppendText(item.path, &text);
    digest.Update(text);
  }
  return digest.HexDigest();
}

}  // namespace promptd::datasets

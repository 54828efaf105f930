#include "datasets/tar_shards.h"

#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "datasets/folder_listing.h"
#include "datasets/list_text.h"
#include "datasets/name_rules.h"
#include "datasets/row_list.h"
#include "datasets/tar_reader.h"
#include "nlohmann/json.hpp"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kMaxLabelBytes = 64 << 10;

// "a/0001" and "jpg" of "a/0001.jpg".
struct KeyAndExtension {
  std::string key;
  std::string extension;  // lower case
};

KeyAndExtension KeyOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t base = slash == absl::string_view::npos ? 0 : slash + 1;
  const size_t dot = name.find('.', base);
  if (dot == absl::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, dot)),
          absl::AsciiStrToLower(name.substr(dot + 1))};
}

bool IsImage(absl::string_view extension) {
  return extension == "jpg" || extension == "jpeg" || extension == "png" ||
         extension == "webp";
}

struct Sample {
  std::string image;  // the entry's name; empty: none
  ImageSource source;
  std::string cls;         // content of KEY.cls
  std::string json_label;  // of KEY.json
  std::string split;
};

Split SplitOfShard(absl::string_view name) {
  const size_t end = name.find_first_of("-_.0123456789");
  return SplitOfWord(name.substr(0, end)).value_or(Split::kTrain);
}

// One reading of one archive. Used by one thread.
class ShardReader {
 public:
  ShardReader(std::string path, std::vector<LabelledRow>* rows,
              ListProblems* problems)
      : path_(std::move(path)),
        name_(FileName(path_)),
        rows_(*rows),
        problems_(*problems) {}

  absl::Status Read() {
    ASSIGN_OR_RETURN(const std::vector<TarEntry> entries, ListTar(path_));
    for (const TarEntry& entry : entries) RETURN_IF_ERROR(Take(entry));
    for (const std::string& key : order_) Finish(key, samples_.at(key));
    return absl::OkStatus();
  }

 private:
  std::string Where(absl::string_view entry) const {
    return absl::StrCat(name_, ": ", entry);
  }

  absl::Status Take(const TarEntry& entry) {
    absl::string_view name = entry.name;
    while (absl::ConsumePrefix(&name, "./")) {
    }
    const std::string where = Where(QuotedText(name));
    if (const std::string problem = PathProblem(name); !problem.empty()) {
      problems_.Add(where, problem);
      return absl::OkStatus();
    }
    if (IsIgnoredName(FileName(name))) return absl::OkStatus();
    const auto [key, extension] = KeyOf(name);
    if (!IsImage(extension) && extension != "cls" && extension != "json") {
      problems_.Add(where, "is not .jpg, .jpeg, .png, .webp, .cls or .json");
      return absl::OkStatus();
    }
    if (!seen_.insert(std::string(name)).second) {
      problems_.Add(where, "is there twice");
      return absl::OkStatus();
    }
    const auto [found, is_new] = samples_.emplace(key, Sample{});
    if (is_new) order_.push_back(key);
    Sample& sample = found->second;
    if (!IsImage(extension)) return TakeLabel(entry, where, extension, &sample);
    if (!sample.image.empty()) {
      problems_.Add(where, absl::StrCat("the sample has another image, ",
                                        QuotedText(sample.image)));
      return absl::OkStatus();
    }
    sample.image = std::string(name);
    sample.source = {path_, entry.offset, entry.bytes};
    return absl::OkStatus();
  }

  absl::Status TakeLabel(const TarEntry& entry, const std::string& where,
                         const std::string& extension, Sample* sample) {
    if (entry.bytes > kMaxLabelBytes) {
      problems_.Add(
          where, absl::StrCat("has ", entry.bytes,
                              " bytes; a label has at most ", kMaxLabelBytes));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::string text,
                     ReadFileRange(path_, entry.offset, entry.bytes));
    if (extension == "cls") {
      sample->cls = std::string(absl::StripAsciiWhitespace(text));
      if (sample->cls.empty()) problems_.Add(where, "is empty");
    } else {
      TakeJson(text, where, sample);
    }
    return absl::OkStatus();
  }

  void TakeJson(const std::string& text, const std::string& where,
                Sample* sample) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) {
      problems_.Add(where, "is not a JSON object");
      return;
    }
    if (const auto label = json.find("label"); label != json.end()) {
      if (label->is_string()) {
        sample->json_label = label->get<std::string>();
      } else if (label->is_number_integer()) {
        sample->json_label = label->dump();
      } else {
        problems_.Add(where + ": label", "is neither text nor a whole number");
      }
    }
    if (const auto split = json.find("split"); split != json.end()) {
      if (split->is_string()) {
        sample->split = split->get<std::string>();
      } else {
        problems_.Add(where + ": split", "is not text");
      }
    }
  }

  void Finish(const std::string& key, const Sample& sample) {
    const std::string where = Where(QuotedText(key));
    if (sample.image.empty()) {
      problems_.Add(where, "the sample has a label and no image");
      return;
    }
    if (!sample.cls.empty() && !sample.json_label.empty() &&
        sample.cls != sample.json_label) {
      problems_.Add(
          where,
          absl::StrCat("the label is ", QuotedText(sample.cls), " in .cls and ",
                       QuotedText(sample.json_label), " in .json"));
      return;
    }
    LabelledRow row;
    row.label = sample.cls.empty() ? sample.json_label : sample.cls;
    if (row.label.empty()) {
      problems_.Add(where,
                    "the sample has an image and no label: add .cls, "
                    "or .json with \"label\"");
      return;
    }
    absl::string_view stem = name_;
    absl::ConsumeSuffix(&stem, ".tar");
    row.path = absl::StrCat(stem, "/", sample.image);
    row.source = sample.source;
    row.split = sample.split;
    row.default_split = SplitOfShard(name_);
    row.where = Where(QuotedText(sample.image));
    rows_.push_back(std::move(row));
  }

  const std::string path_;
  const std::string name_;
  std::vector<LabelledRow>& rows_;
  ListProblems& problems_;
  std::map<std::string, Sample> samples_;
  std::vector<std::string> order_;
  std::set<std::string> seen_;
};

absl::StatusOr<std::vector<std::string>> ShardsOf(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  const std::string root = fs::canonical(path, error).string();
  ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries,
                   ListFolder(root, root));
  std::vector<std::string> shards;
  for (const FolderEntry& entry : entries) {
    if (entry.kind == FolderEntry::Kind::kFile &&
        absl::EndsWith(entry.name, ".tar") && !IsIgnoredName(entry.name)) {
      shards.push_back(absl::StrCat(root, "/", entry.name));
    }
  }
  if (!shards.empty()) return shards;
  return MakeError(absl::StatusCode::kNotFound, "LIST_NOT_FOUND",
                   absl::StrCat("there is no *.tar in ", path,
                                ": give an archive or a folder of them"));
}

}  // namespace

absl::StatusOr<ImageList> ReadTarShards(
    const std::string& path, const std::vector<std::string>& class_names) {
  ASSIGN_OR_RETURN(const std::vector<std::string> shards, ShardsOf(path));
  std::vector<LabelledRow> rows;
  ListProblems problems;
  for (const std::string& shard : shards) {
    RETURN_IF_ERROR(ShardReader(shard, &rows, &problems).Read());
  }
  return ListOfRows(rows, class_names, std::move(problems));
}

}  // namespace promptd::datasets

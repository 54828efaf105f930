#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/coop_lists.h"
#include "datasets/list_text.h"
#include "nlohmann/json.hpp"

namespace promptd::datasets {
namespace {

using Json = nlohmann::json;

absl::Status BadSplitFile(const std::string& where, absl::string_view what) {
  ListProblems problems;
  problems.Add(where, std::string(what));
  return problems.ToStatus("INVALID_IMAGE_LIST");
}

// Where the parser stopped, for people.
std::string LineAndColumn(absl::string_view text, size_t byte) {
  const absl::string_view before =
      text.substr(0, byte == 0 ? 0 : std::min(byte - 1, text.size()));
  const size_t last = before.rfind('\n');
  return absl::StrCat(
      "line ", 1 + std::count(before.begin(), before.end(), '\n'), ", column ",
      1 + (last == absl::string_view::npos ? before.size()
                                           : before.size() - last - 1));
}

// The parser keeps the last of two equal keys; a list that is there twice is
// refused instead.
absl::StatusOr<Json> ParseOnce(const std::string& text,
                               const std::string& name) {
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 &&
        !keys.insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  try {
    Json json = Json::parse(text, watch);
    if (!twice.empty()) return BadSplitFile(name, twice + " is there twice");
    return json;
  } catch (const Json::parse_error& error) {
    return BadSplitFile(
        absl::StrCat(name, ": ", LineAndColumn(text, error.byte)),
        "this is not JSON: download the file again");
  }
}

// One reading of one split file. Used by one thread.
class SplitReader {
 public:
  SplitReader(const CoopFolder& at, std::string name)
      : at_(at), name_(std::move(name)) {}

  absl::StatusOr<ImageList> Read(const Json& json) {
    if (!json.is_object()) {
      return BadSplitFile(name_,
                          "is not an object with the lists train, val and "
                          "test");
    }
    for (const Split split : {Split::kTrain, Split::kVal, Split::kTest}) {
      const std::string key(SplitName(split));
      const std::string where = absl::StrCat(name_, ": ", key);
      const auto found = json.find(key);
      if (found == json.end() || !found->is_array()) {
        problems_.Add(where,
                      found == json.end() ? "is missing" : "is not a list");
        continue;
      }
      for (size_t i = 0; i < found->size(); ++i) {
        ReadTriple((*found)[i], absl::StrCat(where, "[", i, "]"), split);
      }
    }
    list_.class_names = classes_.Names(name_, &problems_);
    return FinishList(std::move(list_), std::move(problems_));
  }

 private:
  void ReadTriple(const Json& triple, const std::string& where, Split split) {
    if (!triple.is_array() || triple.size() != 3) {
      problems_.Add(where, "is not [image, label, class name]");
      return;
    }
    if (!triple[0].is_string()) {
      problems_.Add(where + "[0]", "the image's path is not text");
    }
    if (!triple[1].is_number_integer()) {
      problems_.Add(where + "[1]", "the label is not a whole number");
    }
    if (!triple[2].is_string()) {
      problems_.Add(where + "[2]", "the class name is not text");
    }
    if (!triple[0].is_string() || !triple[1].is_number_integer() ||
        !triple[2].is_string()) {
      return;
    }
    const auto label = triple[1].get<int64_t>();
    if (!classes_.Note(label, triple[2].get<std::string>(), where + "[1]",
                       where + "[2]", &problems_)) {
      return;
    }
    const auto image = triple[0].get<std::string>();
    const std::string path = at_.ImagePath(image);
    list_.images.push_back({path,
                            {at_.Absolute(path)},
                            static_cast<int>(label),
                            split,
                            where + "[0]"});
  }

  const CoopFolder& at_;
  const std::string name_;
  ImageList list_;
  ClassBook classes_;
  ListProblems problems_;
};

}  // namespace

std::string CoopFolder::ImagePath(absl::string_view image) const {
  // What begins with "/" must not look relative afterwards.
  if (images.empty() || (!image.empty() && image[0] == '/')) {
    return std::string(image);
  }
  return absl::StrCat(images, "/", image);
}

std::string CoopFolder::Absolute(absl::string_view path) const {
  return absl::StrCat(folder, "/", path);
}

absl::StatusOr<ImageList> ReadSplitJson(const CoopFolder& at,
                                        const std::string& split_file) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadListText(at.Absolute(split_file)));
  ASSIGN_OR_RETURN(const Json json, ParseOnce(text, split_file));
  return SplitReader(at, split_file).Read(json);
}

}  // namespace promptd::datasets

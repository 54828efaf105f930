// The stored form of a manifest. Items are short arrays, not objects: a large
// dataset has millions of them.
//   {"version":1,"name":"pets","class_names":["cat"],
//    "items":[["train/cat/1.png","<digest>",0,"train"]]}
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/manifest.h"

namespace promptd::datasets {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;

// A JSON string; bytes that are not UTF-8 (ValidateManifest refuses them)
// become U+FFFD rather than an exception.
std::string JsonText(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status BadManifest(absl::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "BAD_STORED_MANIFEST",
                   absl::StrCat("a stored manifest cannot be read: ", what,
                                ": restore the data directory from a backup"));
}

absl::StatusOr<Split> SplitFromName(const std::string& name) {
  for (const Split split : {Split::kTrain, Split::kVal, Split::kTest}) {
    if (name == SplitName(split)) return split;
  }
  return BadManifest(absl::StrCat("no split is called \"", name, "\""));
}

absl::StatusOr<Item> ItemFromJson(const Json& json, size_t class_count) {
  if (!json.is_array() || json.size() != 4 || !json[0].is_string() ||
      !json[1].is_string() || !json[2].is_number_integer() ||
      !json[3].is_string()) {
    return BadManifest("an item is not [path, digest, class, split]");
  }
  Item item;
  item.path = json[0].get<std::string>();
  item.digest = json[1].get<std::string>();
  const auto class_index = json[2].get<int64_t>();
  if (class_index < 0 || static_cast<size_t>(class_index) >= class_count) {
    return BadManifest("a class index is out of range");
  }
  item.class_index = static_cast<int>(class_index);
  ASSIGN_OR_RETURN(item.split, SplitFromName(json[3].get<std::string>()));
  return item;
}

absl::StatusOr<Manifest> ManifestFromParsed(const Json& json) {
  if (!json.is_object() || json.value("version", 0) != kVersion) {
    return BadManifest("it is not a manifest of version 1");
  }
  const auto name = json.find("name");
  const auto class_names = json.find("class_names");
  const auto items = json.find("items");
  if (name == json.end() || !name->is_string() || class_names == json.end() ||
      !class_names->is_array() || items == json.end() || !items->is_array()) {
    return BadManifest("name, class_names or items is missing");
  }
  Manifest manifest;
  manifest.name = name->get<std::string>();
  manifest.class_names.reserve(class_names->size());
  for (const Json& class_name : *class_names) {
    if (!class_name.is_string()) return BadManifest("a class name is no text");
    manifest.class_names.push_back(class_name.get<std::string>());
  }
  manifest.items.reserve(items->size());
  for (const Json& item : *items) {
    ASSIGN_OR_RETURN(Item read,
                     ItemFromJson(item, manifest.class_names.size()));
    manifest.items.push_back(std::move(read));
  }
  return manifest;
}

}  // namespace

std::string ManifestToJson(const Manifest& manifest) {
  std::string json =
      absl::StrCat("{\"version\":", kVersion,
                   ",\"name\":", JsonText(manifest.name), ",\"class_names\":[");
  const char* separator = "";
  for (const std::string& name : manifest.class_names) {
    absl::StrAppend(&json, separator, JsonText(name));
    separator = ",";
  }
  absl::StrAppend(&json, "],\"items\":[");
  separator = "";
  for (const Item& item : manifest.items) {
    absl::StrAppend(&json, separator, "[", JsonText(item.path), ",",
                    JsonText(item.digest), ",", item.class_index, ",\"",
                    SplitName(item.split), "\"]");
    separator = ",";
  }
  absl::StrAppend(&json, "]}");
  return json;
}

absl::StatusOr<Manifest> ManifestFromJson(absl::string_view json) {
  try {
    const Json parsed = Json::parse(json.begin(), json.end(), nullptr, false);
    if (parsed.is_discarded()) return BadManifest("it is not JSON");
    return ManifestFromParsed(parsed);
  } catch (const std::exception& error) {
    return BadManifest(error.what());
  }
}

}  // namespace promptd::datasets

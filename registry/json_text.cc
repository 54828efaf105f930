#include "registry/json_text.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::registry {
namespace {

using nlohmann::json;

// The only errors of dump() are strings that are not UTF-8.
absl::StatusOr<std::string> Dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::exception& error) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_UTF8",
                     absl::StrCat("a name is not UTF-8 text: ", error.what()));
  }
}

absl::Status BadStored(absl::string_view why) {
  return MakeError(
      absl::StatusCode::kInternal, "BAD_STORED_JSON",
      absl::StrCat("a stored text is not as it was written: ", why));
}

}  // namespace

absl::StatusOr<std::string> NamesToJson(const std::vector<std::string>& names) {
  return Dump(json(names));
}

absl::StatusOr<std::string> SplitsToJson(
    const std::vector<SplitCount>& splits) {
  json value = json::array();
  for (const SplitCount& split : splits) {
    value.push_back({{"split", split.split},
                     {"images", split.images},
                     {"images_per_class", split.images_per_class}});
  }
  return Dump(value);
}

absl::StatusOr<std::vector<std::string>> NamesFromJson(absl::string_view text) {
  try {
    return json::parse(text.begin(), text.end())
        .get<std::vector<std::string>>();
  } catch (const json::exception& error) {
    return BadStored(error.what());
  }
}

absl::StatusOr<std::vector<SplitCount>> SplitsFromJson(absl::string_view text) {
  try {
    std::vector<SplitCount> splits;
    for (const json& value : json::parse(text.begin(), text.end())) {
      splits.push_back(
          {value.at("split").get<std::string>(),
           value.at("images").get<int64_t>(),
           value.at("images_per_class").get<std::vector<int64_t>>()});
    }
    return splits;
  } catch (const json::exception& error) {
    return BadStored(error.what());
  }
}

absl::StatusOr<std::string> VersionManifest(const NewVersion& version) {
  json value;
  try {
    value["spec"] = json::parse(version.spec_json);
  } catch (const json::exception& error) {
    return BadStored(error.what());
  }
  value["schema"] = "promptd.version.1";
  value["task"] = version.task;
  value["job_id"] = version.job_id;
  value["class_names"] = version.class_names;
  value["context_digest"] = version.context_digest;
  // Where nothing else says what was learned.
  if (version.context_digest.empty()) {
    value["head_digest"] = version.features_digest;
  }
  value["dataset"] = version.dataset;
  value["dataset_digest"] = version.dataset_digest;
  value["encoder_digest"] = version.encoder_digest;
  return Dump(value);
}

}  // namespace promptd::registry

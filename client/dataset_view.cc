#include "client/dataset_view.h"

#include "absl/strings/str_cat.h"
#include "client/job_view.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"

namespace promptd::client {
namespace {

int64_t SplitImages(const v1::Dataset& dataset, v1::Split split) {
  for (const auto& count : dataset.splits()) {
    if (count.split() == split) return count.images();
  }
  return 0;
}

}  // namespace

std::string DatasetTable(const std::vector<v1::Dataset>& datasets,
                         absl::Time now) {
  Table table(
      {"NAME", "DIGEST", "CLASSES", "TRAIN", "VAL", "TEST", "SIZE", "CREATED"});
  for (const v1::Dataset& dataset : datasets) {
    table.Add({dataset.name(), ShortDigest(dataset.digest()),
               absl::StrCat(dataset.class_names_size()),
               absl::StrCat(SplitImages(dataset, v1::SPLIT_TRAIN)),
               absl::StrCat(SplitImages(dataset, v1::SPLIT_VAL)),
               absl::StrCat(SplitImages(dataset, v1::SPLIT_TEST)),
               Bytes(dataset.total_bytes()),
               Ago(ToTime(dataset.create_time()), now)});
  }
  return table.ToString();
}

nlohmann::json ToJson(const PushOutcome& outcome) {
  nlohmann::json json = ToJson(outcome.dataset);
  json["uploaded_images"] = outcome.uploaded_images;
  json["uploaded_bytes"] = outcome.uploaded_bytes;
  json["rejected"] = ToJson(outcome.rejected);
  return json;
}

nlohmann::json ToJson(const std::vector<datasets::SkippedFile>& files) {
  nlohmann::json json = nlohmann::json::array();
  for (const datasets::SkippedFile& file : files) {
    json.push_back({{"path", file.path},
                    {"reason", file.reason},
                    {"message", file.message}});
  }
  return json;
}

}  // namespace promptd::client

#include "worker/evaluation_spec.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "worker/json_fields.h"

namespace promptd::worker {

std::string EvaluationSpecToJson(const EvaluationSpec& spec) {
  const nlohmann::ordered_json json = {
      {"task", spec.task},
      {"version", spec.version},
      {"features_digest", spec.features_digest},
      {"dataset", spec.dataset},
      {"dataset_digest", spec.dataset_digest},
      {"encoder", spec.encoder},
      {"encoder_digest", spec.encoder_digest},
      {"split", spec.split},
      {"class_subset", std::string(ChoiceName(spec.class_subset))},
      {"class_rows", spec.class_rows},
      {"templates", spec.templates},
  };
  return json.dump();
}

absl::StatusOr<EvaluationSpec> EvaluationSpecFromJson(absl::string_view json) {
  const auto parsed = nlohmann::json::parse(json.begin(), json.end(), nullptr,
                                            /*allow_exceptions=*/false);
  EvaluationSpec spec;
  JsonFields fields(parsed);
  fields.Get("task", &spec.task)
      .Get("version", &spec.version)
      .Get("features_digest", &spec.features_digest)
      .Get("dataset", &spec.dataset)
      .Get("dataset_digest", &spec.dataset_digest)
      .Get("encoder", &spec.encoder)
      .Get("encoder_digest", &spec.encoder_digest)
      .Get("split", &spec.split)
      .Get("class_subset", &spec.class_subset)
      .Get("class_rows", &spec.class_rows)
      .Get("templates", &spec.templates);
  if (!fields.ok()) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_STORED_SPEC",
        absl::StrCat("stored evaluation spec: ", fields.problem()));
  }
  return spec;
}

}  // namespace promptd::worker

#include "worker/evaluation.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "worker/json_fields.h"

namespace promptd::worker {
namespace {

using OrderedJson = nlohmann::ordered_json;

absl::Status BadStored(const std::string& problem) {
  return MakeError(absl::StatusCode::kInternal, "BAD_STORED_EVALUATION",
                   absl::StrCat("stored evaluation: ", problem));
}

}  // namespace

std::string EvaluationToJson(const Evaluation& evaluation) {
  OrderedJson classes = OrderedJson::array();
  for (const Evaluation::ClassResult& result : evaluation.classes) {
    classes.push_back({{"class_name", result.class_name},
                       {"images", result.images},
                       {"accuracy", result.accuracy},
                       {"zero_shot_accuracy", result.zero_shot_accuracy}});
  }
  OrderedJson templates = OrderedJson::array();
  for (const Evaluation::TemplateResult& result : evaluation.templates) {
    templates.push_back({{"text", result.text}, {"accuracy", result.accuracy}});
  }
  // Triples: a matrix of a thousand classes has many entries.
  OrderedJson confusion = OrderedJson::array();
  for (const Evaluation::ConfusionCount& count : evaluation.confusion) {
    confusion.push_back({count.label, count.answer, count.images});
  }
  OrderedJson json = {
      {"split", evaluation.split},
      {"images", evaluation.images},
      {"accuracy", evaluation.accuracy},
      {"macro_f1", evaluation.macro_f1},
      {"ece", evaluation.ece},
      {"zero_shot_accuracy", evaluation.zero_shot_accuracy},
      {"zero_shot_template", evaluation.zero_shot_template},
      {"zero_shot_macro_f1", evaluation.zero_shot_macro_f1},
      {"zero_shot_ece", evaluation.zero_shot_ece},
      {"classes", classes},
      {"templates", templates},
      {"confusion", confusion},
  };
  if (evaluation.temperature > 0) {
    json["temperature"] = evaluation.temperature;
    json["uncalibrated_ece"] = evaluation.uncalibrated_ece;
  }
  if (evaluation.selected_epoch > 0) {
    json["selected_epoch"] = evaluation.selected_epoch;
  }
  if (evaluation.inverse_regularization > 0) {
    json["inverse_regularization"] = evaluation.inverse_regularization;
  }
  if (evaluation.selected_epoch > 0 || evaluation.inverse_regularization > 0) {
    json["validation_accuracy"] = evaluation.validation_accuracy;
  }
  return json.dump();
}

absl::StatusOr<Evaluation> EvaluationFromJson(absl::string_view json) {
  const auto parsed = nlohmann::json::parse(json.begin(), json.end(), nullptr,
                                            /*allow_exceptions=*/false);
  Evaluation evaluation;
  nlohmann::json classes;
  nlohmann::json templates;
  std::vector<std::vector<int64_t>> confusion;
  JsonFields fields(parsed);
  fields.Get("split", &evaluation.split)
      .Get("images", &evaluation.images)
      .Get("accuracy", &evaluation.accuracy)
      .Get("macro_f1", &evaluation.macro_f1)
      .Get("ece", &evaluation.ece)
      .Get("zero_shot_accuracy", &evaluation.zero_shot_accuracy)
      .Get("zero_shot_template", &evaluation.zero_shot_template)
      .Get("classes", &classes)
      .Get("templates", &templates)
      .GetIfThere("zero_shot_macro_f1", &evaluation.zero_shot_macro_f1)
      .GetIfThere("zero_shot_ece", &evaluation.zero_shot_ece)
      .GetIfThere("confusion", &confusion)
      .GetIfThere("temperature", &evaluation.temperature)
      .GetIfThere("uncalibrated_ece", &evaluation.uncalibrated_ece)
      .GetIfThere("selected_epoch", &evaluation.selected_epoch)
      .GetIfThere("inverse_regularization", &evaluation.inverse_regularization)
      .GetIfThere("validation_accuracy", &evaluation.validation_accuracy);
  if (!fields.ok()) return BadStored(fields.problem());
  for (const auto& entry : classes) {
    Evaluation::ClassResult result;
    JsonFields members(entry);
    members.Get("class_name", &result.class_name)
        .Get("images", &result.images)
        .Get("accuracy", &result.accuracy)
        .Get("zero_shot_accuracy", &result.zero_shot_accuracy);
    if (!members.ok()) return BadStored(members.problem());
    evaluation.classes.push_back(std::move(result));
  }
  for (const auto& entry : templates) {
    Evaluation::TemplateResult result;
    JsonFields members(entry);
    members.Get("text", &result.text).Get("accuracy", &result.accuracy);
    if (!members.ok()) return BadStored(members.problem());
    evaluation.templates.push_back(std::move(result));
  }
  for (const std::vector<int64_t>& count : confusion) {
    if (count.size() != 3) return BadStored("a confusion count has no label");
    evaluation.confusion.push_back(
        {static_cast<int>(count[0]), static_cast<int>(count[1]), count[2]});
  }
  return evaluation;
}

}  // namespace promptd::worker

#include "worker/training_spec.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "worker/json_fields.h"

namespace promptd::worker {

std::string TrainingSpecToJson(const TrainingSpec& spec) {
  nlohmann::ordered_json json = {
      {"task", spec.task},
      {"dataset", spec.dataset},
      {"dataset_digest", spec.dataset_digest},
      {"encoder", spec.encoder},
      {"encoder_digest", spec.encoder_digest},
      {"method", spec.method},
      {"shots", spec.shots},
      {"context_tokens", spec.context_tokens},
      {"context_init", spec.context_init},
      {"epochs", spec.epochs},
      {"batch_size", spec.batch_size},
      {"learning_rate", spec.learning_rate},
      {"momentum", spec.momentum},
      {"weight_decay", spec.weight_decay},
      {"warmup_epochs", spec.warmup_epochs},
      {"warmup_learning_rate", spec.warmup_learning_rate},
      {"seed", spec.seed},
      {"templates", spec.templates},
      {"class_position", std::string(ChoiceName(spec.class_position))},
      {"class_specific", spec.class_specific},
      {"views", spec.views},
      {"selection", std::string(ChoiceName(spec.selection))},
      {"class_subset", std::string(ChoiceName(spec.class_subset))},
      {"initial_task", spec.initial_task},
      {"initial_version", spec.initial_version},
      {"initial_context_digest", spec.initial_context_digest},
      {"class_names", spec.class_names},
  };
  if (spec.initial_job > 0) {
    json["initial_job"] = spec.initial_job;
    json["initial_checkpoint"] = spec.initial_checkpoint;
  }
  // Of other methods than CoOp, whose bytes they leave alone.
  if (!spec.text_templates.empty()) {
    json["text_templates"] = spec.text_templates;
  }
  if (spec.inverse_regularization > 0) {
    json["inverse_regularization"] = spec.inverse_regularization;
  }
  return json.dump();
}

absl::StatusOr<TrainingSpec> TrainingSpecFromJson(absl::string_view json) {
  const auto parsed = nlohmann::json::parse(json.begin(), json.end(), nullptr,
                                            /*allow_exceptions=*/false);
  TrainingSpec spec;
  JsonFields fields(parsed);
  fields.Get("task", &spec.task)
      .Get("dataset", &spec.dataset)
      .Get("dataset_digest", &spec.dataset_digest)
      .Get("encoder", &spec.encoder)
      .Get("encoder_digest", &spec.encoder_digest)
      .Get("method", &spec.method)
      .Get("shots", &spec.shots)
      .Get("context_tokens", &spec.context_tokens)
      .Get("context_init", &spec.context_init)
      .Get("epochs", &spec.epochs)
      .Get("batch_size", &spec.batch_size)
      .Get("learning_rate", &spec.learning_rate)
      .Get("momentum", &spec.momentum)
      .Get("weight_decay", &spec.weight_decay)
      .Get("warmup_epochs", &spec.warmup_epochs)
      .Get("warmup_learning_rate", &spec.warmup_learning_rate)
      .Get("seed", &spec.seed)
      .Get("templates", &spec.templates)
      .GetIfThere("class_position", &spec.class_position)
      .GetIfThere("class_specific", &spec.class_specific)
      .GetIfThere("views", &spec.views)
      .GetIfThere("selection", &spec.selection)
      .GetIfThere("class_subset", &spec.class_subset)
      .GetIfThere("initial_task", &spec.initial_task)
      .GetIfThere("initial_version", &spec.initial_version)
      .GetIfThere("initial_context_digest", &spec.initial_context_digest)
      .GetIfThere("initial_job", &spec.initial_job)
      .GetIfThere("initial_checkpoint", &spec.initial_checkpoint)
      .GetIfThere("class_names", &spec.class_names)
      .GetIfThere("text_templates", &spec.text_templates)
      .GetIfThere("inverse_regularization", &spec.inverse_regularization);
  if (!fields.ok()) {
    return MakeError(absl::StatusCode::kInternal, "BAD_STORED_SPEC",
                     absl::StrCat("stored training spec: ", fields.problem()));
  }
  return spec;
}

}  // namespace promptd::worker

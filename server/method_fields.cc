#include "server/method_fields.h"

#include "absl/strings/str_cat.h"

namespace promptd::server {

void CheckUnusedFields(const MethodTraits& method,
                       const v1::TrainingSpec& asked,
                       std::vector<FieldViolation>* violations) {
  const auto check = [&](bool used, bool set, const char* field,
                         const char* what) {
    if (used || !set) return;
    violations->push_back(
        {absl::StrCat("spec.", field),
         absl::StrCat("must be unset: ", method.name, " ", what)});
  };
  constexpr char kNoContext[] = "learns no context";
  check(method.context, asked.has_context_tokens(), "context_tokens",
        kNoContext);
  check(method.context, !asked.context_init().empty(), "context_init",
        kNoContext);
  check(method.context, asked.class_position() != 0, "class_position",
        kNoContext);
  check(method.context, asked.has_initial_version(), "initial_version",
        kNoContext);
  check(method.context, asked.has_initial_checkpoint(), "initial_checkpoint",
        kNoContext);
  check(method.context, !asked.initial_context_digest().empty(),
        "initial_context_digest", kNoContext);
  check(method.context, asked.class_names_size() > 0, "class_names",
        "has no context to apply to them: give a dataset");
  check(method.class_specific, asked.class_specific(), "class_specific",
        "has one form only");

  constexpr char kNoSteps[] = "is not learned in steps of SGD";
  check(method.steps, asked.has_epochs(), "epochs", kNoSteps);
  check(method.steps, asked.has_batch_size(), "batch_size", kNoSteps);
  check(method.steps, asked.has_learning_rate(), "learning_rate", kNoSteps);
  check(method.steps, asked.has_momentum(), "momentum", kNoSteps);
  check(method.steps, asked.has_weight_decay(), "weight_decay", kNoSteps);
  check(method.steps, asked.has_warmup_epochs(), "warmup_epochs", kNoSteps);
  check(method.steps, asked.has_warmup_learning_rate(), "warmup_learning_rate",
        kNoSteps);
  check(method.steps, asked.has_views(), "views", kNoSteps);
  check(method.steps, asked.selection() != 0, "selection", kNoSteps);

  constexpr char kNoImages[] = "looks at no training image";
  check(method.shots, asked.has_shots(), "shots", kNoImages);
  check(method.shots, asked.has_seed(), "seed", kNoImages);
  check(method.text_templates, asked.text_templates_size() > 0,
        "text_templates", "starts from no template");
  check(method.regularized, asked.has_inverse_regularization(),
        "inverse_regularization", "is not regularized by a C");
}

}  // namespace promptd::server

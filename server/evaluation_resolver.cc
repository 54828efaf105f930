#include "server/evaluation_resolver.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/class_subset.h"
#include "datasets/name_rules.h"
#include "registry/registry.h"
#include "server/choices.h"
#include "server/context_check.h"
#include "server/split_images.h"
#include "server/templates.h"
#include "server/version_selector.h"
#include "worker/executor.h"
#include "worker/training_spec.h"

namespace promptd::server {
namespace {

class Resolver {
 public:
  Resolver(const Backend& backend, const std::string& tenant,
           const v1::EvaluationSpec& asked)
      : backend_(backend), tenant_(tenant), asked_(asked) {}

  absl::StatusOr<worker::EvaluationSpec> Run() {
    spec_.templates =
        ResolveTemplates(asked_.templates(), backend_.limits, &violations_);
    if (asked_.version().task().empty()) {
      Violate("version.task", "is required: the task whose version to score");
    }
    if (asked_.dataset().empty()) {
      Violate("dataset", "is required: the name of a pushed dataset");
    }
    if (!violations_.empty()) return Refusal();
    ASSIGN_OR_RETURN(version_, SelectVersion(backend_.registry->prompts(),
                                             tenant_, asked_.version()));
    ASSIGN_OR_RETURN(
        dataset_, backend_.registry->datasets().Get(tenant_, asked_.dataset()));
    spec_.task = version_.task;
    spec_.version = version_.version;
    spec_.features_digest = version_.features_digest;
    spec_.dataset = dataset_.name;
    spec_.dataset_digest = dataset_.digest;
    spec_.encoder_digest = version_.encoder_digest;
    RETURN_IF_ERROR(Encoder());
    RETURN_IF_ERROR(Subset());
    Split();
    if (!violations_.empty()) return Refusal();
    RETURN_IF_ERROR(Classes());
    return std::move(spec_);
  }

 private:
  void Violate(const std::string& field, const std::string& description) {
    violations_.push_back({absl::StrCat("spec.", field), description});
  }
  absl::Status Refusal() const {
    return InvalidFields("INVALID_SPEC", violations_);
  }

  absl::Status Encoder() {
    for (const auto& encoder : backend_.executor->Encoders()) {
      if (encoder.digest != version_.encoder_digest) continue;
      spec_.encoder = encoder.name;
      return absl::OkStatus();
    }
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "ENCODER_NOT_HELD",
        absl::StrCat("version ", version_.task, ":", version_.version,
                     " was learned on an encoder that this server does not "
                     "hold (",
                     version_.encoder_digest,
                     "): import it and start promptd with it"));
  }

  absl::Status Subset() {
    ASSIGN_OR_RETURN(const worker::TrainingSpec trained,
                     worker::TrainingSpecFromJson(version_.spec_json));
    if (version_.dataset_digest == dataset_.digest) {
      spec_.class_subset = trained.class_subset;
    }
    ResolveChoice(asked_.class_subset(), "class_subset", &spec_.class_subset,
                  &violations_);
    classes_ = datasets::RangeOf(spec_.class_subset,
                                 static_cast<int>(dataset_.class_names.size()));
    return absl::OkStatus();
  }

  void Split() {
    const std::string& asked = asked_.split();
    if (!asked.empty() && asked != "test" && asked != "val") {
      Violate("split", absl::StrCat("is \"", asked,
                                    "\": use \"test\" or \"val\", or leave it "
                                    "unset"));
      return;
    }
    for (const char* split : {"test", "val"}) {
      if (!asked.empty() && asked != split) continue;
      if (ImagesIn(dataset_, split, classes_) == 0) continue;
      spec_.split = split;
      return;
    }
    Violate(asked.empty() ? "dataset" : "split",
            absl::StrCat("has no ", asked.empty() ? "test or val" : asked,
                         " images of these classes: push the dataset again "
                         "with a test/ or val/ folder"));
  }

  // Finds each of the dataset's classes among the task's.
  absl::Status Classes() {
    std::map<std::string, int64_t> rows;
    for (size_t i = 0; i < version_.class_names.size(); ++i) {
      rows[datasets::FoldClassName(version_.class_names[i])] =
          static_cast<int64_t>(i);
    }
    std::vector<std::string> unknown;
    for (int i = classes_.first; i < classes_.first + classes_.count; ++i) {
      const std::string& name = dataset_.class_names[i];
      const auto row = rows.find(datasets::FoldClassName(name));
      if (row == rows.end()) {
        unknown.push_back(absl::StrCat("\"", name, "\""));
      } else {
        spec_.class_rows.push_back(row->second);
      }
    }
    if (unknown.empty()) return absl::OkStatus();
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "CLASSES_DIFFER",
        absl::StrCat("dataset \"", dataset_.name, "\" has ", unknown.size(),
                     unknown.size() == 1 ? " class" : " classes",
                     " that task \"", version_.task,
                     "\" has not: ", JoinSome(unknown),
                     ". A context that all classes share can be applied to "
                     "them: `promptctl task create NAME --from-version ",
                     version_.task, ":", version_.version, " --dataset ",
                     dataset_.name, "`"));
  }

  const Backend& backend_;
  const std::string& tenant_;
  const v1::EvaluationSpec& asked_;
  worker::EvaluationSpec spec_;
  registry::PromptVersion version_;
  registry::Dataset dataset_;
  datasets::ClassRange classes_;  // of the dataset, that take part
  std::vector<FieldViolation> violations_;
};

}  // namespace

absl::StatusOr<worker::EvaluationSpec> ResolveEvaluation(
    const Backend& backend, const std::string& tenant,
    const v1::EvaluationSpec& asked) {
  return Resolver(backend, tenant, asked).Run();
}

}  // namespace promptd::server

#include "worker/evaluation_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/head_blob.h"
#include "worker/prompt_evaluation.h"

namespace promptd::worker {
namespace {

constexpr double kFeaturesDone = 0.9;  // of the progress bar

}  // namespace

EvaluationRun::EvaluationRun(const RunEnvironment& environment,
                             const LeasedJob& job)
    : environment_(environment),
      job_(job),
      spec_(*job_.evaluation),
      reporter_(environment_, job_) {}

absl::StatusOr<int64_t> EvaluationRun::Run() {
  RETURN_IF_ERROR(Prepare());
  ASSIGN_OR_RETURN(const ClassHead head, Head());
  const double own_done =
      head.image_tower.empty() ? kFeaturesDone : kFeaturesDone / 2;
  ASSIGN_OR_RETURN(images_, Features(*encoder_, 0, own_done));
  LabelledFeatures tuned;
  if (!head.image_tower.empty()) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const clip::Encoder> encoder,
                     environment_.tuned_encoders->Find(spec_.encoder_digest,
                                                       head.image_tower));
    ASSIGN_OR_RETURN(tuned, Features(*encoder, own_done, kFeaturesDone));
  }
  PromptEvaluation evaluation(environment_.loop, encoder_.get(),
                              environment_.check);
  ASSIGN_OR_RETURN(const Evaluation result,
                   evaluation.Run(spec_.split, class_names_, spec_.templates,
                                  head.image_tower.empty() ? images_.features
                                                           : tuned.features,
                                  images_.features, images_.labels, head));
  RETURN_IF_ERROR(environment_.check());
  RETURN_IF_ERROR(
      environment_.control->StoreEvaluation(job_.id, job_.fence, result));
  return spec_.version;
}

absl::Status EvaluationRun::Prepare() {
  ASSIGN_OR_RETURN(encoder_, environment_.encoders->Find(spec_.encoder_digest));
  ASSIGN_OR_RETURN(manifest_,
                   environment_.control->GetManifest(spec_.dataset_digest));
  classes_ = datasets::RangeOf(spec_.class_subset,
                               static_cast<int>(manifest_.class_names.size()));
  const auto first = manifest_.class_names.begin() + classes_.first;
  class_names_ = {first, first + classes_.count};
  return absl::OkStatus();
}

absl::StatusOr<LabelledFeatures> EvaluationRun::Features(
    const clip::Encoder& encoder, double from, double to) {
  const datasets::Split split =
      spec_.split == "val" ? datasets::Split::kVal : datasets::Split::kTest;
  return FeaturesOf(environment_, encoder, manifest_, classes_,
                    ItemsTaking(manifest_, classes_,
                                datasets::ItemsOfSplit(manifest_, split)),
                    {.from = from, .to = to}, &reporter_);
}

absl::StatusOr<ClassHead> EvaluationRun::Head() const {
  const absl::StatusOr<std::string> bytes =
      environment_.control->GetBlob(spec_.features_digest);
  if (!bytes.ok()) return Annotate(bytes.status(), "head");
  ASSIGN_OR_RETURN(const ClassHead all,
                   ParseHead(*bytes, encoder_->config().embed_dim));
  const int64_t rows = all.weights.shape[0];
  if (spec_.class_rows.size() != class_names_.size() ||
      std::any_of(spec_.class_rows.begin(), spec_.class_rows.end(),
                  [rows](int64_t row) { return row < 0 || row >= rows; })) {
    return MakeError(absl::StatusCode::kDataLoss, "BAD_STORED_SPEC",
                     absl::StrCat("the evaluation names other classes than "
                                  "version ",
                                  spec_.task, ":", spec_.version, " has"));
  }
  return SelectClasses(all, spec_.class_rows);
}

}  // namespace promptd::worker

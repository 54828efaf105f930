#include "worker/training_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/few_shot.h"
#include "learners/trainer.h"
#include "worker/prompt_evaluation.h"
#include "worker/prompt_features.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

// Where each phase ends on the job's scale of 0..1. Only for the progress
// bar: the phases' true shares depend on encoder, images and epochs.
constexpr double kTrainFeaturesDone = 0.1;
constexpr double kFeaturesDone = 0.3;
constexpr double kTrainDone = 0.97;

learners::TrainerSpec ToTrainerSpec(const TrainingSpec& spec) {
  learners::TrainerSpec trainer;
  trainer.method = spec.method;
  trainer.context_tokens = spec.context_tokens;
  trainer.context_init = spec.context_init;
  trainer.class_position = spec.class_position;
  trainer.class_specific = spec.class_specific;
  trainer.epochs = spec.epochs;
  trainer.batch_size = spec.batch_size;
  trainer.learning_rate = spec.learning_rate;
  trainer.momentum = spec.momentum;
  trainer.weight_decay = spec.weight_decay;
  trainer.warmup_epochs = spec.warmup_epochs;
  trainer.warmup_learning_rate = spec.warmup_learning_rate;
  trainer.seed = spec.seed;
  return trainer;
}

// Interruptions after which the job goes on later, from a checkpoint.
bool IsInterruption(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  return reason == "JOB_PAUSED" || reason == "JOB_DRAINED";
}

}  // namespace

TrainingRun::TrainingRun(const RunEnvironment& environment,
                         const LeasedJob& job)
    : environment_(environment),
      job_(job),
      reporter_(environment_, job_),
      last_checkpoint_(absl::Now()) {}

TrainingRun::~TrainingRun() = default;

absl::StatusOr<int64_t> TrainingRun::Run() {
  RETURN_IF_ERROR(Prepare());
  RETURN_IF_ERROR(LoadTrainer());
  const absl::Status trained = Train();
  if (IsInterruption(trained)) RETURN_IF_ERROR(Checkpoint());
  RETURN_IF_ERROR(trained);
  return Publish();
}

absl::Status TrainingRun::Prepare() {
  const TrainingSpec& spec = job_.spec;
  ASSIGN_OR_RETURN(encoder_, environment_.encoders->Find(spec.encoder_digest));
  ASSIGN_OR_RETURN(manifest_,
                   environment_.control->GetManifest(spec.dataset_digest));
  classes_ = datasets::RangeOf(spec.class_subset,
                               static_cast<int>(manifest_.class_names.size()));
  ASSIGN_OR_RETURN(const datasets::FewShotSplit picks,
                   datasets::SampleFewShot(manifest_, spec.shots, spec.seed));
  ASSIGN_OR_RETURN(train_, Features(picks.train, 0, kTrainFeaturesDone));

  const auto items_of = [this](datasets::Split split) {
    std::vector<int> items = datasets::ItemsOfSplit(manifest_, split);
    std::erase_if(items, [this](int item) {
      return !classes_.Contains(manifest_.items[item].class_index);
    });
    return items;
  };
  scored_split_ = datasets::Split::kTest;
  std::vector<int> scored = items_of(scored_split_);
  if (scored.empty()) {
    scored_split_ = datasets::Split::kVal;
    scored = items_of(scored_split_);
  }
  if (scored.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NOTHING_TO_EVALUATE",
        absl::StrCat("dataset ", spec.dataset,
                     " has neither test nor validation images: push it again "
                     "with a test/ or val/ folder"));
  }
  ASSIGN_OR_RETURN(scored_,
                   Features(scored, kTrainFeaturesDone, kFeaturesDone));
  return absl::OkStatus();
}

std::vector<std::string> TrainingRun::ClassNames() const {
  const auto first = manifest_.class_names.begin() + classes_.first;
  return {first, first + classes_.count};
}

absl::StatusOr<LabelledFeatures> TrainingRun::Features(
    const std::vector<int>& items, double from, double to) {
  return FeaturesOf(environment_, *encoder_, manifest_, classes_, items,
                    {.from = from, .to = to, .epochs = job_.spec.epochs},
                    &reporter_);
}

absl::Status TrainingRun::LoadInitialContext(FloatTensor* context) const {
  const std::string& digest = job_.spec.initial_context_digest;
  if (digest.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> bytes =
      environment_.control->GetBlob(digest);
  if (!bytes.ok()) return Annotate(bytes.status(), "initial context");
  ASSIGN_OR_RETURN(*context, ParseTensor(*bytes, "ctx"));
  return absl::OkStatus();
}

absl::Status TrainingRun::LoadTrainer() {
  learners::TrainingData data;
  data.class_names = ClassNames();
  RETURN_IF_ERROR(LoadInitialContext(&data.initial_context));
  data.initial_context_digest = job_.spec.initial_context_digest;
  data.features = train_.features;
  data.labels = train_.labels;
  data.features_digest = train_.digest;
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        trainer_, learners::Trainer::Create(encoder_, ToTrainerSpec(job_.spec),
                                            std::move(data)));
    return absl::OkStatus();
  }));
  if (job_.checkpoint_digest.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> bytes =
      environment_.control->GetBlob(job_.checkpoint_digest);
  if (!bytes.ok()) return Annotate(bytes.status(), "checkpoint");
  return environment_.loop->RunTraining(
      [&] { return trainer_->Restore(*bytes); });
}

absl::Status TrainingRun::Train() {
  const absl::Time start = absl::Now();
  const int64_t first_step = trainer_->progress().step;
  counted_steps_ = first_step;
  while (!trainer_->done()) {
    RETURN_IF_ERROR(environment_.check());
    RETURN_IF_ERROR(
        environment_.loop->RunTraining([&] { return trainer_->RunUnit(); }));
    const learners::TrainerProgress& now = trainer_->progress();
    environment_.on_steps(now.step - counted_steps_);
    counted_steps_ = now.step;

    Progress progress;
    progress.phase = "train";
    progress.epoch = now.epoch;
    progress.epochs = job_.spec.epochs;
    progress.step = now.step;
    progress.steps = now.steps;
    progress.loss = now.loss;
    progress.accuracy = now.accuracy;
    progress.learning_rate = now.learning_rate;
    const double share = static_cast<double>(now.step) / now.steps;
    progress.fraction = kFeaturesDone + (kTrainDone - kFeaturesDone) * share;
    if (now.step > first_step) {
      progress.eta = (absl::Now() - start) * (now.steps - now.step) /
                     (now.step - first_step);
    }
    RETURN_IF_ERROR(reporter_.Report(progress, /*force=*/trainer_->done()));
    if (absl::Now() - last_checkpoint_ >= environment_.checkpoint_interval) {
      RETURN_IF_ERROR(Checkpoint());
    }
  }
  return absl::OkStatus();
}

absl::Status TrainingRun::Checkpoint() {
  std::string bytes;
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(bytes, trainer_->SaveCheckpoint());
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(const std::string digest,
                   environment_.control->PutBlob(bytes));
  RETURN_IF_ERROR(
      environment_.control->SaveCheckpoint(job_.id, job_.fence, digest));
  last_checkpoint_ = absl::Now();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> TrainingRun::Publish() {
  FloatTensor context;
  FloatTensor text_features;
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(context, trainer_->Context());
    ASSIGN_OR_RETURN(text_features, trainer_->TextFeatures());
    return absl::OkStatus();
  }));
  FinishedPrompt prompt;
  prompt.class_names = ClassNames();
  PromptEvaluation evaluation(environment_.loop, encoder_.get(),
                              environment_.check);
  ASSIGN_OR_RETURN(
      prompt.evaluation,
      evaluation.Run(std::string(datasets::SplitName(scored_split_)),
                     prompt.class_names, job_.spec.templates, scored_.features,
                     scored_.labels, text_features));

  ASSIGN_OR_RETURN(const std::string context_bytes,
                   SerializeTensor("ctx", context));
  ASSIGN_OR_RETURN(prompt.context_digest,
                   environment_.control->PutBlob(context_bytes));
  ASSIGN_OR_RETURN(const std::string feature_bytes,
                   SerializeTextFeatures(text_features));
  ASSIGN_OR_RETURN(prompt.features_digest,
                   environment_.control->PutBlob(feature_bytes));
  RETURN_IF_ERROR(environment_.check());
  return environment_.control->Publish(job_.id, job_.fence, prompt);
}

}  // namespace promptd::worker

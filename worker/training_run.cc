#include "worker/training_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "datasets/few_shot.h"
#include "learners/evaluation.h"
#include "learners/learner.h"
#include "weights/encoder_folder.h"
#include "worker/head_blob.h"
#include "worker/item_pixels.h"
#include "worker/prompt_evaluation.h"
#include "worker/prompt_features.h"
#include "worker/tensor_blob.h"
#include "worker/view_features.h"

namespace promptd::worker {
namespace {

// Where each phase ends on the job's scale of 0..1. Only for the progress
// bar: the phases' true shares depend on encoder, images and epochs.
constexpr double kTrainFeaturesDone = 0.1;
constexpr double kValidationFeaturesDone = 0.12;
constexpr double kFeaturesDone = 0.3;
constexpr double kTrainDone = 0.97;
// Of an epoch's part: encoding its view.
constexpr double kViewShare = 0.5;

double TrainFraction(double share) {
  return kFeaturesDone + (kTrainDone - kFeaturesDone) * share;
}

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
  trainer.views = spec.views;
  trainer.selection = spec.selection;
  trainer.text_templates = spec.text_templates;
  trainer.inverse_regularization = spec.inverse_regularization;
  return trainer;
}

void Tell(const learners::Chosen& chosen, Evaluation* evaluation) {
  evaluation->selected_epoch = chosen.epoch;
  evaluation->inverse_regularization = chosen.inverse_regularization;
  evaluation->validation_accuracy = chosen.validation_accuracy;
}

// Interruptions that leave a checkpoint to go on from.
bool IsInterruption(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  return reason == "JOB_PAUSED" || reason == "JOB_DRAINED" ||
         reason == "JOB_CANCELLED_LATER";
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
  RETURN_IF_ERROR(LoadLearner());
  const absl::Status trained = Train();
  if (IsInterruption(trained)) RETURN_IF_ERROR(Checkpoint());
  if (ErrorReason(trained) == "NON_FINITE_LOSS") return Diverged(trained);
  RETURN_IF_ERROR(trained);
  return Publish();
}

bool TrainingRun::LearnsFromImages() const {
  const MethodTraits* const method = FindMethod(job_.spec.method);
  if (method == nullptr || !method->shots) return false;
  return !method->steps || job_.spec.epochs > 0;
}

bool TrainingRun::TunesImageTower() const {
  const MethodTraits* const method = FindMethod(job_.spec.method);
  return method != nullptr && method->image_tower;
}

bool TrainingRun::NeedsValidation() const {
  const TrainingSpec& spec = job_.spec;
  const MethodTraits* const method = FindMethod(spec.method);
  return spec.selection == Selection::kBestValidation ||
         (method != nullptr && method->regularized &&
          spec.inverse_regularization == 0);
}

absl::Status TrainingRun::Prepare() {
  const TrainingSpec& spec = job_.spec;
  ASSIGN_OR_RETURN(encoder_, environment_.encoders->Find(spec.encoder_digest));
  if (!has_dataset()) {
    manifest_.class_names = spec.class_names;
    classes_ = {0, static_cast<int>(spec.class_names.size())};
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(manifest_,
                   environment_.control->GetManifest(spec.dataset_digest));
  classes_ = datasets::RangeOf(spec.class_subset,
                               static_cast<int>(manifest_.class_names.size()));
  if (LearnsFromImages()) RETURN_IF_ERROR(PrepareTraining());
  return PrepareScoring();
}

absl::Status TrainingRun::PrepareTraining() {
  const TrainingSpec& spec = job_.spec;
  ASSIGN_OR_RETURN(const datasets::FewShotSplit picks,
                   datasets::SampleFewShot(manifest_, spec.shots, spec.seed));
  picks_ = ItemsTaking(manifest_, classes_, picks.train);
  validation_picks_ = ItemsTaking(manifest_, classes_, picks.val);
  const TrainingFeatures::Environment features = FeatureEnvironment(
      environment_,
      [this](int64_t done, int64_t total) { return ReportView(done, total); });
  if (TunesImageTower()) {
    train_.labels = LabelsOf(manifest_, classes_, picks_);
    train_.digest = TrainingFeatures(features, encoder_.get())
                        .ViewsDigest(manifest_, picks_);
  } else if (spec.views == 1) {
    ASSIGN_OR_RETURN(train_,
                     Features(*encoder_, picks_, 0, kTrainFeaturesDone));
  } else {
    views_ = std::make_unique<ViewFeatures>(
        features, encoder_.get(), &manifest_, picks_, spec.views, spec.epochs);
    RETURN_IF_ERROR(views_->Find());
    train_.labels = LabelsOf(manifest_, classes_, picks_);
    train_.digest = views_->digest();
  }
  if (!NeedsValidation()) return absl::OkStatus();
  if (validation_picks_.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NO_VALIDATION_IMAGES",
        absl::StrCat("dataset ", spec.dataset,
                     " has no validation images of these classes to choose by: "
                     "push it again with a val/ folder, or choose yourself "
                     "(the last step; the regularization)"));
  }
  ASSIGN_OR_RETURN(validation_,
                   Features(*encoder_, validation_picks_, kTrainFeaturesDone,
                            kValidationFeaturesDone));
  return absl::OkStatus();
}

absl::Status TrainingRun::PrepareScoring() {
  const auto items_of = [this](datasets::Split split) {
    return ItemsTaking(manifest_, classes_,
                       datasets::ItemsOfSplit(manifest_, split));
  };
  scored_split_ = datasets::Split::kTest;
  scored_items_ = items_of(scored_split_);
  if (scored_items_.empty()) {
    scored_split_ = datasets::Split::kVal;
    scored_items_ = items_of(scored_split_);
  }
  if (scored_items_.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NOTHING_TO_EVALUATE",
        absl::StrCat("dataset ", job_.spec.dataset,
                     " has neither test nor validation images: push it again "
                     "with a test/ or val/ folder"));
  }
  ASSIGN_OR_RETURN(scored_, Features(*encoder_, scored_items_,
                                     kValidationFeaturesDone, kFeaturesDone));
  return absl::OkStatus();
}

std::vector<std::string> TrainingRun::ClassNames() const {
  const auto first = manifest_.class_names.begin() + classes_.first;
  return {first, first + classes_.count};
}

absl::StatusOr<LabelledFeatures> TrainingRun::Features(
    const clip::Encoder& encoder, const std::vector<int>& items, double from,
    double to) {
  return FeaturesOf(environment_, encoder, manifest_, classes_, items,
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

absl::Status TrainingRun::LoadLearner() {
  learners::TrainingData data;
  data.class_names = ClassNames();
  RETURN_IF_ERROR(LoadInitialContext(&data.initial_context));
  data.initial_context_digest = job_.spec.initial_context_digest;
  data.features = train_.features;
  data.labels = train_.labels;
  data.features_digest = train_.digest;
  data.validation_features = validation_.features;
  data.validation_labels = validation_.labels;
  data.validation_digest = validation_.digest;
  std::optional<weights::EncoderFolder> folder;
  if (TunesImageTower()) {
    ASSIGN_OR_RETURN(folder,
                     environment_.encoders->OpenFolder(encoder_->digest()));
    data.encoder_folder = &*folder;
  }
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(learner_,
                     learners::MakeLearner(encoder_, ToTrainerSpec(job_.spec),
                                           std::move(data)));
    return absl::OkStatus();
  }));
  if (job_.checkpoint_digest.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> bytes =
      environment_.control->GetBlob(job_.checkpoint_digest);
  if (!bytes.ok()) return Annotate(bytes.status(), "checkpoint");
  return environment_.loop->RunTraining(
      [&] { return learner_->Restore(*bytes); });
}

absl::Status TrainingRun::Train() {
  train_start_ = absl::Now();
  first_step_ = counted_steps_ = learner_->progress().step;
  while (!learner_->done()) {
    RETURN_IF_ERROR(FailpointStatus("training.step"));
    RETURN_IF_ERROR(environment_.check());
    RETURN_IF_ERROR(LoadView());
    RETURN_IF_ERROR(LoadPixels());
    RETURN_IF_ERROR(
        environment_.loop->RunTrainingTurn([this]() -> absl::StatusOr<bool> {
          RETURN_IF_ERROR(learner_->RunUnit());
          return learner_->progress().step == counted_steps_ &&
                 !learner_->done() && !learner_->NeedsView() &&
                 !learner_->NeedsPixels();
        }));
    const learners::LearnerProgress& now = learner_->progress();
    environment_.on_steps(now.step - counted_steps_);
    counted_steps_ = now.step;

    Progress progress = TrainProgress();
    progress.phase = "train";
    progress.step = now.step;
    progress.steps = now.steps;
    double share = static_cast<double>(now.step) / now.steps;
    if (views_ != nullptr) {
      // Behind what encoding the epoch's view has reported.
      const int64_t steps_per_epoch = now.steps / progress.epochs;
      const int64_t in_epoch = now.step - now.epoch * steps_per_epoch;
      share = now.epoch;
      if (in_epoch > 0) {
        share += kViewShare + (1 - kViewShare) * static_cast<double>(in_epoch) /
                                  static_cast<double>(steps_per_epoch);
      }
      share /= progress.epochs;
    }
    progress.fraction = TrainFraction(share);
    RETURN_IF_ERROR(reporter_.Report(progress, /*force=*/learner_->done()));
    if (absl::Now() - last_checkpoint_ >= environment_.checkpoint_interval) {
      RETURN_IF_ERROR(Checkpoint());
    }
  }
  return absl::OkStatus();
}

absl::Status TrainingRun::LoadView() {
  const std::optional<int> view = learner_->NeedsView();
  if (!view.has_value()) return absl::OkStatus();
  const absl::Time start = absl::Now();
  const bool encodes = views_->Missing(*view);
  ASSIGN_OR_RETURN(const FloatTensor* const features, views_->Get(*view));
  if (encodes) {
    view_time_ += absl::Now() - start;
    ++encoded_views_;
  }
  return environment_.loop->RunTraining(
      [&] { return learner_->SetFeatures(*view, *features); });
}

absl::Status TrainingRun::LoadPixels() {
  const auto wanted = learner_->NeedsPixels();
  if (!wanted.has_value()) return absl::OkStatus();
  std::vector<int> items;
  items.reserve(wanted->rows.size());
  for (const int64_t row : wanted->rows) items.push_back(picks_[row]);
  const datasets::PreprocessOptions preprocess = PreprocessOptionsOf(*encoder_);
  ASSIGN_OR_RETURN(const std::vector<std::vector<float>> images,
                   ItemPixels(environment_.control, environment_.decode_threads,
                              preprocess, manifest_, items, wanted->view));
  FloatTensor pixels;
  pixels.shape = {static_cast<int64_t>(images.size()), 3, preprocess.size,
                  preprocess.size};
  for (const std::vector<float>& image : images) {
    pixels.values.insert(pixels.values.end(), image.begin(), image.end());
  }
  return environment_.loop->RunTraining(
      [&] { return learner_->SetPixels(pixels); });
}

Progress TrainingRun::TrainProgress() const {
  const learners::LearnerProgress& now = learner_->progress();
  Progress progress;
  progress.epoch = now.epoch;
  progress.epochs = job_.spec.epochs;
  progress.loss = now.loss;
  progress.accuracy = now.accuracy;
  progress.learning_rate = now.learning_rate;
  const int missing = views_ == nullptr ? 0 : views_->CountMissing(now.epoch);
  const int64_t steps = now.step - first_step_;
  if (steps > 0 && (missing == 0 || encoded_views_ > 0)) {
    const absl::Duration stepping = absl::Now() - train_start_ - view_time_;
    progress.eta = stepping * (now.steps - now.step) / steps;
    if (missing > 0) *progress.eta += view_time_ * missing / encoded_views_;
  }
  return progress;
}

absl::Status TrainingRun::ReportView(int64_t done, int64_t total) {
  RETURN_IF_ERROR(environment_.check());
  Progress progress = TrainProgress();
  progress.phase = "encode";
  progress.step = done;
  progress.steps = total;
  const double share = kViewShare * static_cast<double>(done) / total;
  progress.fraction = TrainFraction((progress.epoch + share) / progress.epochs);
  return reporter_.Report(progress, /*force=*/false);
}

absl::Status TrainingRun::Diverged(const absl::Status& error) {
  const absl::Status saved = Checkpoint();
  if (ErrorReason(saved) == "LEASE_LOST") return saved;
  // What could not be saved (a full disk) is not why the job fails.
  if (!saved.ok()) return error;
  return MakeError(
      error.code(), ErrorReason(error),
      absl::StrCat(error.message(),
                   "; the last good checkpoint is that of step ",
                   learner_->progress().step, ", blob ", checkpoint_digest_));
}

absl::Status TrainingRun::Checkpoint() {
  std::string bytes;
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(bytes, learner_->SaveCheckpoint());
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(checkpoint_digest_, environment_.control->PutBlob(bytes));
  const learners::LearnerProgress& now = learner_->progress();
  FailpointStep("checkpoint.save");
  RETURN_IF_ERROR(environment_.control->SaveCheckpoint(
      job_.id, job_.fence, {checkpoint_digest_, now.epoch, now.step}));
  FailpointStep("checkpoint.saved");
  last_checkpoint_ = absl::Now();
  return absl::OkStatus();
}

absl::StatusOr<learners::Learned> TrainingRun::Result() {
  for (int64_t unit = 0; unit < learner_->head_units(); ++unit) {
    RETURN_IF_ERROR(environment_.check());
    RETURN_IF_ERROR(environment_.loop->RunTraining(
        [&] { return learner_->RunHeadUnit(); }));
  }
  learners::Learned learned;
  RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
    ASSIGN_OR_RETURN(learned, learner_->Result());
    return absl::OkStatus();
  }));
  return learned;
}

absl::StatusOr<int64_t> TrainingRun::Publish() {
  ASSIGN_OR_RETURN(learners::Learned learned, Result());
  FinishedPrompt prompt;
  prompt.class_names = ClassNames();
  RETURN_IF_ERROR(StoreParameters(&learned, &prompt));
  if (has_dataset()) RETURN_IF_ERROR(Evaluate(&learned, &prompt));
  ASSIGN_OR_RETURN(const std::string head, SerializeHead(learned.head));
  ASSIGN_OR_RETURN(prompt.features_digest, environment_.control->PutBlob(head));
  RETURN_IF_ERROR(environment_.check());
  return environment_.control->Publish(job_.id, job_.fence, prompt);
}

absl::Status TrainingRun::StoreParameters(learners::Learned* learned,
                                          FinishedPrompt* prompt) {
  if (learned->parameters.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string bytes,
                   SerializeTensors(learned->parameters));
  ASSIGN_OR_RETURN(prompt->context_digest,
                   environment_.control->PutBlob(bytes));
  if (TunesImageTower()) learned->head.image_tower = prompt->context_digest;
  return absl::OkStatus();
}

absl::Status TrainingRun::Evaluate(learners::Learned* learned,
                                   FinishedPrompt* prompt) {
  LabelledFeatures tuned;
  std::shared_ptr<const clip::Encoder> encoder = encoder_;
  if (TunesImageTower()) {
    ASSIGN_OR_RETURN(
        encoder, environment_.tuned_encoders->Find(encoder_->digest(),
                                                   learned->head.image_tower));
    ASSIGN_OR_RETURN(tuned, Features(*encoder, scored_items_, kTrainDone, 1));
  }
  RETURN_IF_ERROR(Calibrate(*encoder, &learned->head));
  PromptEvaluation evaluation(environment_.loop, encoder_.get(),
                              environment_.check);
  ASSIGN_OR_RETURN(
      prompt->evaluation,
      evaluation.Run(std::string(datasets::SplitName(scored_split_)),
                     prompt->class_names, job_.spec.templates,
                     TunesImageTower() ? tuned.features : scored_.features,
                     scored_.features, scored_.labels, learned->head));
  if (learned->chosen) Tell(*learned->chosen, &prompt->evaluation);
  return absl::OkStatus();
}

absl::Status TrainingRun::Calibrate(const clip::Encoder& encoder,
                                    ClassHead* head) {
  if (validation_picks_.empty() || scored_split_ != datasets::Split::kTest) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const LabelledFeatures images,
                   Features(encoder, validation_picks_, kTrainDone, 1));
  ASSIGN_OR_RETURN(head->temperature,
                   learners::FitTemperature(images.features, images.labels,
                                            *head, encoder.logit_scale()));
  return absl::OkStatus();
}

}  // namespace promptd::worker

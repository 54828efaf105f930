// One training job from lease to publication.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/class_head.h"
#include "common/float_tensor.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/run_environment.h"

namespace promptd::learners {
class Learner;
struct Learned;
}  // namespace promptd::learners

namespace promptd::worker {

class ViewFeatures;

// Runs on the job runner's thread; everything that computes is a bounded unit
// on the device loop. Used once, by one thread.
class TrainingRun {
 public:
  TrainingRun(const RunEnvironment& environment, const LeasedJob& job);
  ~TrainingRun();

  // The published version. An interruption by `check` (cancel, pause, drain)
  // is returned as its error, after a checkpoint unless the lease is lost.
  absl::StatusOr<int64_t> Run();

 private:
  // Whether training images are looked at: not by zero-shot, nor where a
  // context is applied as it is.
  bool LearnsFromImages() const;
  // Whether the image tower itself learns, from pixels.
  bool TunesImageTower() const;
  // Whether the choice of something hangs on the validation images.
  bool NeedsValidation() const;
  // A context can be applied to a list of classes alone.
  bool has_dataset() const { return !job_.spec.dataset_digest.empty(); }
  absl::Status Prepare();
  absl::Status PrepareTraining();
  absl::Status PrepareScoring();
  absl::Status LoadLearner();
  absl::Status Train();
  // Gives the learner the view of its epoch when it needs one.
  absl::Status LoadView();
  // Gives the learner the pixels of its next images when it needs them.
  absl::Status LoadPixels();
  absl::Status Checkpoint();
  // The error of a job whose loss or context stopped being finite: names the
  // checkpoint of the state before.
  absl::Status Diverged(const absl::Status& error);
  absl::StatusOr<learners::Learned> Result();
  absl::StatusOr<int64_t> Publish();
  // Fits the temperature of the head on validation images, where the dataset
  // has some beside those that are scored. `encoder` is of its image tower.
  absl::Status Calibrate(const clip::Encoder& encoder, ClassHead* head);
  // Stores what was learned, and names a tuned image tower in the head.
  absl::Status StoreParameters(learners::Learned* learned,
                               FinishedPrompt* prompt);
  absl::Status Evaluate(learners::Learned* learned, FinishedPrompt* prompt);

  // Names of the classes that take part; their labels begin at 0.
  std::vector<std::string> ClassNames() const;
  absl::Status LoadInitialContext(FloatTensor* context) const;
  // Features of `items` with the test transform; progress moves from `from` to
  // `to`.
  absl::StatusOr<LabelledFeatures> Features(const clip::Encoder& encoder,
                                            const std::vector<int>& items,
                                            double from, double to);
  // Of training, without its phase and fraction.
  Progress TrainProgress() const;
  absl::Status ReportView(int64_t done, int64_t total);

  const RunEnvironment environment_;
  const LeasedJob job_;
  ProgressReporter reporter_;
  std::shared_ptr<const clip::Encoder> encoder_;
  datasets::Manifest manifest_;
  datasets::ClassRange classes_;  // that take part
  std::vector<int> picks_;        // of the few-shot sample
  LabelledFeatures train_;        // of the picks; views = 1: features
  std::vector<int> validation_picks_;
  LabelledFeatures validation_;    // of them, where something is chosen by them
  std::vector<int> scored_items_;  // of the split that is scored
  LabelledFeatures scored_;
  datasets::Split scored_split_ = datasets::Split::kTest;
  std::unique_ptr<ViewFeatures> views_;  // unless views = 1
  std::unique_ptr<learners::Learner> learner_;
  int64_t counted_steps_ = 0;
  // What the time that is left follows from.
  absl::Time train_start_;
  int64_t first_step_ = 0;
  absl::Duration view_time_;  // of encoding views since train_start_
  int encoded_views_ = 0;
  std::string checkpoint_digest_;  // of the last one
  absl::Time last_checkpoint_;
};

}  // namespace promptd::worker

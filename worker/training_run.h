// One training job from lease to publication.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/float_tensor.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/run_environment.h"

namespace promptd::learners {
class Trainer;
}

namespace promptd::worker {

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
  absl::Status Prepare();
  absl::Status LoadTrainer();
  absl::Status Train();
  absl::Status Checkpoint();
  absl::StatusOr<int64_t> Publish();

  // Names of the classes that take part; their labels begin at 0.
  std::vector<std::string> ClassNames() const;
  absl::Status LoadInitialContext(FloatTensor* context) const;
  // Of those items whose classes take part; progress moves from `from` to
  // `to`.
  absl::StatusOr<LabelledFeatures> Features(const std::vector<int>& items,
                                            double from, double to);

  const RunEnvironment environment_;
  const LeasedJob job_;
  ProgressReporter reporter_;
  std::shared_ptr<const clip::Encoder> encoder_;
  datasets::Manifest manifest_;
  datasets::ClassRange classes_;  // that take part
  LabelledFeatures train_;        // the few-shot picks
  LabelledFeatures scored_;       // the split that is scored
  datasets::Split scored_split_ = datasets::Split::kTest;
  std::unique_ptr<learners::Trainer> trainer_;
  int64_t counted_steps_ = 0;
  absl::Time last_checkpoint_;
};

}  // namespace promptd::worker

// One training job from lease to publication.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/float_tensor.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"

namespace promptd::learners {
class Trainer;
}

namespace promptd::worker {

// Runs on the job runner's thread; everything that computes is a bounded unit
// on the device loop. Used once, by one thread.
class TrainingRun {
 public:
  struct Environment {
    Control* control = nullptr;
    const EncoderSet* encoders = nullptr;
    DeviceLoop* loop = nullptr;
    int decode_threads = 1;
    absl::Duration checkpoint_interval = absl::Seconds(5);
    // Between two progress reports of one phase.
    absl::Duration report_interval = absl::Milliseconds(250);
    // Asked between units: an error ends the run with it.
    std::function<absl::Status()> check;
    std::function<void(const Progress&)> on_progress;
    std::function<void(int64_t steps)> on_steps;
  };

  TrainingRun(const Environment& environment, const LeasedJob& job);
  ~TrainingRun();

  // The published version. An interruption by `check` (cancel, pause, drain)
  // is returned as its error, after a checkpoint unless the lease is lost.
  absl::StatusOr<int64_t> Run();

 private:
  struct LabelledFeatures {
    FloatTensor features;  // [N, E], not normalised
    std::vector<int> labels;
    std::string digest;  // of the feature blob
  };

  absl::Status Prepare();
  absl::Status LoadTrainer();
  absl::Status Train();
  absl::Status Checkpoint();
  absl::StatusOr<int64_t> Publish();

  // Names of the classes that take part; their labels begin at 0.
  std::vector<std::string> ClassNames() const;
  absl::Status LoadInitialContext(FloatTensor* context) const;
  // Features of those of the manifest's items whose classes take part;
  // progress moves from `from` to `to`.
  absl::StatusOr<LabelledFeatures> Features(std::vector<int> items, double from,
                                            double to);
  absl::Status Report(Progress progress, bool force);

  const Environment environment_;
  const LeasedJob job_;
  std::shared_ptr<const clip::Encoder> encoder_;
  datasets::Manifest manifest_;
  datasets::ClassRange classes_;  // that take part
  LabelledFeatures train_;        // the few-shot picks
  LabelledFeatures scored_;       // the split that is scored
  datasets::Split scored_split_ = datasets::Split::kTest;
  std::unique_ptr<learners::Trainer> trainer_;
  int64_t counted_steps_ = 0;
  absl::Time last_report_ = absl::InfinitePast();
  absl::Time last_checkpoint_;
};

}  // namespace promptd::worker

// What a job's run works with, whatever its kind: the doors, and the features
// of a dataset's images with their labels.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/float_tensor.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/training_features.h"
#include "worker/tuned_encoders.h"

namespace promptd::worker {

// Borrowed parts outlive the run.
struct RunEnvironment {
  Control* control = nullptr;
  const EncoderSet* encoders = nullptr;
  TunedEncoders* tuned_encoders = nullptr;
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

// Sends a job's progress to its front end, not too often. Used by one thread.
class ProgressReporter {
 public:
  ProgressReporter(const RunEnvironment& environment, const LeasedJob& job)
      : environment_(environment), job_(job.id), fence_(job.fence) {}

  // Skipped, unless `force` is set, when the last one was a moment ago.
  absl::Status Report(const Progress& progress, bool force);

 private:
  const RunEnvironment& environment_;
  const int64_t job_;
  const int64_t fence_;
  absl::Time last_ = absl::InfinitePast();
};

// What TrainingFeatures works with in this run.
TrainingFeatures::Environment FeatureEnvironment(
    const RunEnvironment& environment,
    std::function<absl::Status(int64_t, int64_t)> on_progress);

struct LabelledFeatures {
  FloatTensor features;     // [N, E], not normalised
  std::vector<int> labels;  // [N], 0 for the first class that takes part
  std::string digest;       // of the feature blob, or of all views
};

// Those of the items whose classes take part. Sampling comes before, as in the
// reference: base classes have the same images as in a job on all.
std::vector<int> ItemsTaking(const datasets::Manifest& manifest,
                             const datasets::ClassRange& classes,
                             std::vector<int> items);
// Their labels, 0 for the first class that takes part.
std::vector<int> LabelsOf(const datasets::Manifest& manifest,
                          const datasets::ClassRange& classes,
                          const std::vector<int>& items);

// A part of a job's progress bar: from where to where on its scale of 0..1.
struct ProgressSpan {
  double from = 0;
  double to = 1;
  int epochs = 0;  // of the whole job, for reports
};

// Features of items whose classes take part, with the test transform, found or
// encoded; reports the phase "encode". Errors: TrainingFeatures::Get's and the
// environment's check.
absl::StatusOr<LabelledFeatures> FeaturesOf(const RunEnvironment& environment,
                                            const clip::Encoder& encoder,
                                            const datasets::Manifest& manifest,
                                            const datasets::ClassRange& classes,
                                            std::vector<int> items,
                                            const ProgressSpan& span,
                                            ProgressReporter* reporter);

}  // namespace promptd::worker

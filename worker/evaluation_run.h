// One evaluation job from lease to its stored result.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/class_head.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/run_environment.h"

namespace promptd::worker {

// Scores a version on a dataset's split. The images' features are those that
// training jobs keep, so a second evaluation on the same images, of whatever
// version, encodes none. There is no checkpoint: an interrupted run goes on
// from the features that were stored. Used once, by one thread.
class EvaluationRun {
 public:
  EvaluationRun(const RunEnvironment& environment, const LeasedJob& job);

  // Stores the result and returns the version that was scored; errors as
  // TrainingRun::Run.
  absl::StatusOr<int64_t> Run();

 private:
  absl::Status Prepare();
  // The version's head, of the classes that compete.
  absl::StatusOr<ClassHead> Head() const;
  absl::StatusOr<LabelledFeatures> Features(const clip::Encoder& encoder,
                                            double from, double to);

  const RunEnvironment environment_;
  const LeasedJob job_;
  const EvaluationSpec& spec_;
  ProgressReporter reporter_;
  std::shared_ptr<const clip::Encoder> encoder_;
  datasets::Manifest manifest_;
  datasets::ClassRange classes_;          // of the manifest, that take part
  std::vector<std::string> class_names_;  // that compete
  LabelledFeatures images_;               // by the encoder's own tower
};

}  // namespace promptd::worker

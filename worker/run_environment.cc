#include "worker/run_environment.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/status_macros.h"

namespace promptd::worker {

absl::Status ProgressReporter::Report(const Progress& progress, bool force) {
  environment_.on_progress(progress);
  const absl::Time now = absl::Now();
  if (!force && now - last_ < environment_.report_interval) {
    return absl::OkStatus();
  }
  last_ = now;
  return environment_.control->ReportProgress(job_, fence_, progress);
}

TrainingFeatures::Environment FeatureEnvironment(
    const RunEnvironment& environment,
    std::function<absl::Status(int64_t, int64_t)> on_progress) {
  TrainingFeatures::Environment features;
  features.control = environment.control;
  features.loop = environment.loop;
  features.decode_threads = environment.decode_threads;
  features.on_progress = std::move(on_progress);
  return features;
}

std::vector<int> ItemsTaking(const datasets::Manifest& manifest,
                             const datasets::ClassRange& classes,
                             std::vector<int> items) {
  std::erase_if(items, [&](int item) {
    return !classes.Contains(manifest.items[item].class_index);
  });
  return items;
}

std::vector<int> LabelsOf(const datasets::Manifest& manifest,
                          const datasets::ClassRange& classes,
                          const std::vector<int>& items) {
  std::vector<int> labels;
  labels.reserve(items.size());
  for (const int item : items) {
    labels.push_back(manifest.items[item].class_index - classes.first);
  }
  return labels;
}

absl::StatusOr<LabelledFeatures> FeaturesOf(const RunEnvironment& environment,
                                            const clip::Encoder& encoder,
                                            const datasets::Manifest& manifest,
                                            const datasets::ClassRange& classes,
                                            std::vector<int> items,
                                            const ProgressSpan& span,
                                            ProgressReporter* reporter) {
  const auto on_progress = [&](int64_t done, int64_t total) -> absl::Status {
    RETURN_IF_ERROR(environment.check());
    Progress progress;
    progress.phase = "encode";
    progress.step = done;
    progress.steps = total;
    progress.epochs = span.epochs;
    progress.fraction = span.from + (span.to - span.from) *
                                        static_cast<double>(done) /
                                        static_cast<double>(total);
    return reporter->Report(progress, /*force=*/done == total);
  };
  TrainingFeatures features(FeatureEnvironment(environment, on_progress),
                            &encoder);
  ASSIGN_OR_RETURN(StoredFeatures stored, features.Get(manifest, items));
  LabelledFeatures labelled;
  labelled.features = std::move(stored.features);
  labelled.digest = std::move(stored.digest);
  labelled.labels = LabelsOf(manifest, classes, items);
  return labelled;
}

}  // namespace promptd::worker

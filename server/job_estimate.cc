#include "server/job_estimate.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/convert_time.h"
#include "server/progress_json.h"

namespace promptd::server {
namespace {

constexpr int kJobsLookedAt = 20;
constexpr int kEventsLookedAt = 1000;

struct Cost {
  int64_t images = 0;
  int64_t steps = 0;
};

// What one image and one step took; unset: not known.
struct Rates {
  std::optional<absl::Duration> image;
  std::optional<absl::Duration> step;
};

int64_t StepsOf(const worker::TrainingSpec& spec, int64_t classes) {
  if (spec.batch_size == 0) return 0;
  const int64_t images = classes * spec.shots;
  const int64_t batches = (images + spec.batch_size - 1) / spec.batch_size;
  return spec.epochs * batches;
}

// The images of every split that a job may look at. A view of its own in each
// epoch makes as many images of the training split as there are epochs.
int64_t ImagesOf(const worker::TrainingSpec& spec, int64_t classes,
                 const registry::Dataset& dataset) {
  const int64_t views =
      spec.views == 0 ? spec.epochs : std::min(spec.views, spec.epochs);
  int64_t images = classes * spec.shots * std::max<int64_t>(1, views);
  for (const registry::SplitCount& split : dataset.splits) {
    if (split.split != "train") images += split.images;
  }
  return images;
}

absl::StatusOr<Cost> CostOf(const Backend& backend, const std::string& tenant,
                            const worker::TrainingSpec& spec, int64_t classes) {
  Cost cost;
  cost.steps = StepsOf(spec, classes);
  if (spec.dataset.empty()) return cost;
  const auto dataset = backend.registry->datasets().Get(tenant, spec.dataset);
  if (absl::IsNotFound(dataset.status())) return cost;  // of an older job
  if (!dataset.ok()) return dataset.status();
  cost.images = ImagesOf(spec, classes, *dataset);
  return cost;
}

// From a finished job's first training report on its steps are timed; what came
// before were images.
absl::StatusOr<Rates> RatesOf(const Backend& backend, const jobs::Job& job,
                              const worker::TrainingSpec& spec) {
  Rates rates;
  ASSIGN_OR_RETURN(
      const std::vector<jobs::JobEvent> events,
      backend.jobs->Events(job.tenant, job.id, 1, kEventsLookedAt));
  std::optional<absl::Time> begin;
  int64_t first_step = 0;
  for (const jobs::JobEvent& event : events) {
    if (event.progress_json.empty()) continue;
    ASSIGN_OR_RETURN(const worker::Progress progress,
                     ProgressFromJson(event.progress_json));
    if (progress.phase != "train") continue;
    if (!begin) {
      begin = event.time;
      first_step = progress.step;
    } else if (progress.step > first_step) {
      rates.step = (event.time - *begin) / (progress.step - first_step);
    }
  }
  const absl::Time ready = begin.value_or(job.end_time.value_or(job.run_at));
  ASSIGN_OR_RETURN(const registry::Task task,
                   backend.registry->prompts().GetTask(job.tenant, job.task));
  ASSIGN_OR_RETURN(const Cost cost,
                   CostOf(backend, job.tenant, spec,
                          static_cast<int64_t>(task.class_names.size())));
  if (cost.images > 0 && job.start_time) {
    rates.image = (ready - *job.start_time) / cost.images;
  }
  return rates;
}

// The dearest image, because those of other jobs may have been stored; the
// latest step.
absl::StatusOr<Rates> Measured(const Backend& backend,
                               const worker::TrainingSpec& wanted) {
  ASSIGN_OR_RETURN(
      const std::vector<jobs::Job> finished,
      backend.jobs->LatestSucceeded(wanted.encoder_digest, kJobsLookedAt));
  Rates rates;
  for (const jobs::Job& job : finished) {
    const auto spec = worker::TrainingSpecFromJson(job.spec_json);
    // Only one run tells how long it takes.
    if (!spec.ok() || spec->method != wanted.method || job.fence != 1) continue;
    const auto one = RatesOf(backend, job, *spec);
    if (absl::IsNotFound(one.status())) continue;  // deleted meanwhile
    if (!one.ok()) return one.status();
    if (one->image) {
      rates.image =
          std::max(*one->image, rates.image.value_or(absl::ZeroDuration()));
    }
    if (!rates.step) rates.step = one->step;
  }
  return rates;
}

}  // namespace

absl::StatusOr<v1::JobEstimate> EstimateJob(const Backend& backend,
                                            const std::string& tenant,
                                            const ResolvedSpec& resolved) {
  ASSIGN_OR_RETURN(const Cost cost,
                   CostOf(backend, tenant, resolved.spec,
                          static_cast<int64_t>(resolved.class_names.size())));
  ASSIGN_OR_RETURN(const Rates rates, Measured(backend, resolved.spec));
  v1::JobEstimate estimate;
  estimate.set_images(cost.images);
  estimate.set_steps(cost.steps);
  const bool known =
      (rates.image || cost.images == 0) && (rates.step || cost.steps == 0);
  if (known) {
    ToProto(rates.image.value_or(absl::ZeroDuration()) * cost.images +
                rates.step.value_or(absl::ZeroDuration()) * cost.steps,
            estimate.mutable_duration());
  }
  return estimate;
}

}  // namespace promptd::server

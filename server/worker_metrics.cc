#include "server/worker_metrics.h"

#include "absl/strings/str_cat.h"
#include "server/metrics.h"

namespace promptd::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

prometheus::Family<prometheus::Gauge>& GaugeFamily(
    prometheus::Registry& registry, const std::string& name,
    const std::string& help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

}  // namespace

WorkerMetrics::WorkerMetrics(prometheus::Registry& registry)
    : batch_size_(BuildHistogram()
                      .Name("promptd_batch_size")
                      .Help("Images of one classification encode batch.")
                      .Register(registry)
                      .Add({},
                           prometheus::Histogram::BucketBoundaries{
                               1, 2, 4, 8, 16, 32, 64, 128, 256, 512})),
      training_steps_(BuildCounter()
                          .Name("promptd_training_steps_total")
                          .Help("Optimizer steps of training jobs.")
                          .Register(registry)
                          .Add({})),
      slot_info_(GaugeFamily(registry, "promptd_job_slot_info",
                             "1 for each running job: which job and task "
                             "occupy the slot.")),
      loss_(GaugeFamily(registry, "promptd_job_loss",
                        "Mean training loss of the slot's last epoch.")),
      accuracy_(
          GaugeFamily(registry, "promptd_job_accuracy",
                      "Training accuracy of the slot's last epoch, 0 to 1.")),
      epoch_(GaugeFamily(registry, "promptd_job_epoch",
                         "Epochs that the slot's job has finished.")) {
  auto& images = BuildCounter()
                     .Name("promptd_images_total")
                     .Help("Images answered by classification.")
                     .Register(registry);
  images_ok_ = &images.Add({{"outcome", "ok"}});
  images_error_ = &images.Add({{"outcome", "error"}});
  auto& stages = BuildHistogram()
                     .Name("promptd_stage_duration_seconds")
                     .Help("Time of one image in one stage.")
                     .Register(registry);
  for (size_t i = 0; i < stage_seconds_.size(); ++i) {
    const auto stage = static_cast<worker::Stage>(i);
    stage_seconds_[i] = &stages.Add(
        {{"stage", std::string(worker::StageName(stage))}}, LatencyBuckets());
  }
}

void WorkerMetrics::OnStage(worker::Stage stage, absl::Duration elapsed) {
  stage_seconds_.at(static_cast<size_t>(stage))
      ->Observe(absl::ToDoubleSeconds(elapsed));
}

void WorkerMetrics::OnBatch(int images) { batch_size_.Observe(images); }

void WorkerMetrics::OnImage(bool ok) {
  (ok ? images_ok_ : images_error_)->Increment();
}

void WorkerMetrics::OnTrainingSteps(int64_t steps) {
  if (steps > 0) training_steps_.Increment(static_cast<double>(steps));
}

void WorkerMetrics::OnJobStarted(int slot, int64_t job,
                                 const std::string& task) {
  const std::string number = absl::StrCat(slot);
  absl::MutexLock lock(&mutex_);
  RemoveSlot(slot);
  Slot series{
      .info = &slot_info_.Add(
          {{"slot", number}, {"job", absl::StrCat(job)}, {"task", task}}),
      .loss = &loss_.Add({{"slot", number}}),
      .accuracy = &accuracy_.Add({{"slot", number}}),
      .epoch = &epoch_.Add({{"slot", number}}),
  };
  series.info->Set(1);
  slots_[slot] = series;
}

void WorkerMetrics::OnJobProgress(int slot, const worker::Progress& progress) {
  absl::MutexLock lock(&mutex_);
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return;
  it->second.loss->Set(progress.loss);
  it->second.accuracy->Set(progress.accuracy);
  it->second.epoch->Set(progress.epoch);
}

void WorkerMetrics::OnJobEnded(int slot) {
  absl::MutexLock lock(&mutex_);
  RemoveSlot(slot);
}

void WorkerMetrics::RemoveSlot(int slot) {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return;
  slot_info_.Remove(it->second.info);
  loss_.Remove(it->second.loss);
  accuracy_.Remove(it->second.accuracy);
  epoch_.Remove(it->second.epoch);
  slots_.erase(it);
}

}  // namespace promptd::server

#include "metrics/worker_metrics.h"

#include "absl/strings/str_cat.h"
#include "metrics/latency_buckets.h"

namespace promptd::metrics {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

prometheus::Family<prometheus::Gauge>& GaugeFamily(
    prometheus::Registry& registry, const std::string& name,
    const std::string& help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

constexpr size_t kTenantSeries = 32;
const std::string& OtherTenants() {
  static const auto* const kName = new std::string("_other");
  return *kName;
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
      batch_tasks_(BuildHistogram()
                       .Name("promptd_batch_tasks")
                       .Help("Different prompts that one encode batch serves.")
                       .Register(registry)
                       .Add({},
                            prometheus::Histogram::BucketBoundaries{
                                0, 1, 2, 4, 8, 16, 32, 64, 128, 256})),
      images_encoded_(BuildCounter()
                          .Name("promptd_images_encoded_total")
                          .Help("Images that the image tower ran on, for "
                                "classification and embedding.")
                          .Register(registry)
                          .Add({})),
      prompts_resident_(GaugeFamily(registry, "promptd_prompts_resident",
                                    "Heads of versions and of zero-shot "
                                    "labels in memory.")
                            .Add({})),
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
  AddCaches(registry);
  AddScheduling(registry);
}

void WorkerMetrics::AddScheduling(prometheus::Registry& registry) {
  auto& rejected = BuildCounter()
                       .Name("promptd_admission_rejected_total")
                       .Help("Classify and embed calls turned away at once.")
                       .Register(registry);
  for (size_t i = 0; i < rejected_.size(); ++i) {
    const auto why = static_cast<worker::Rejection>(i);
    rejected_[i] =
        &rejected.Add({{"reason", std::string(worker::RejectionName(why))}});
  }
  auto& expired = BuildCounter()
                      .Name("promptd_deadline_expired_total")
                      .Help(
                          "Classify and embed calls given up as their "
                          "deadline had passed, by where it was seen.")
                      .Register(registry);
  auto& cancelled = BuildCounter()
                        .Name("promptd_cancelled_total")
                        .Help(
                            "Classify and embed calls given up as their "
                            "caller had gone, by where it was seen.")
                        .Register(registry);
  for (size_t i = 0; i < expired_.size(); ++i) {
    const std::string stage(
        worker::CheckpointName(static_cast<worker::Checkpoint>(i)));
    expired_[i] = &expired.Add({{"stage", stage}});
    cancelled_[i] = &cancelled.Add({{"stage", stage}});
  }
  queued_images_ = &GaugeFamily(registry, "promptd_queue_images",
                                "Images of calls that are not answered yet.")
                        .Add({});
  queued_bytes_ = &GaugeFamily(registry, "promptd_queue_bytes",
                               "Bytes of those, as files and as pixels.")
                       .Add({});
  tenant_cost_ = &BuildCounter()
                      .Name("promptd_tenant_cost_seconds_total")
                      .Help(
                          "Time of decode threads and of the device that a "
                          "tenant's images took; \"_other\" sums up all "
                          "tenants behind the first 32.")
                      .Register(registry);
}

void WorkerMetrics::OnRejected(worker::Rejection why) {
  rejected_.at(static_cast<size_t>(why))->Increment();
}

void WorkerMetrics::OnGivenUp(worker::Checkpoint where, bool expired) {
  (expired ? expired_ : cancelled_).at(static_cast<size_t>(where))->Increment();
}

void WorkerMetrics::OnQueued(int64_t images, int64_t bytes) {
  queued_images_->Increment(static_cast<double>(images));
  queued_bytes_->Increment(static_cast<double>(bytes));
}

void WorkerMetrics::OnTenantCost(const std::string& tenant,
                                 absl::Duration cost) {
  absl::MutexLock lock(&mutex_);
  auto found = cost_of_.find(tenant);
  if (found == cost_of_.end()) {
    const std::string& name =
        cost_of_.size() < kTenantSeries ? tenant : OtherTenants();
    prometheus::Counter* const counter = &tenant_cost_->Add({{"tenant", name}});
    if (name == OtherTenants()) {
      counter->Increment(absl::ToDoubleSeconds(cost));
      return;
    }
    found = cost_of_.emplace(tenant, counter).first;
  }
  found->second->Increment(absl::ToDoubleSeconds(cost));
}

void WorkerMetrics::AddCaches(prometheus::Registry& registry) {
  auto& uses = BuildCounter()
                   .Name("promptd_cache_requests_total")
                   .Help("Looks into a cache, by what they found.")
                   .Register(registry);
  auto& bytes =
      GaugeFamily(registry, "promptd_cache_bytes", "Bytes that a cache holds.");
  auto& evictions = BuildCounter()
                        .Name("promptd_cache_evictions_total")
                        .Help("Entries that a cache gave up for others.")
                        .Register(registry);
  for (size_t i = 0; i < caches_.size(); ++i) {
    const std::string name(worker::CacheName(static_cast<worker::Cache>(i)));
    for (size_t use = 0; use < caches_[i].uses.size(); ++use) {
      const auto result =
          worker::CacheUseName(static_cast<worker::CacheUse>(use));
      caches_[i].uses[use] =
          &uses.Add({{"cache", name}, {"result", std::string(result)}});
    }
    caches_[i].bytes = &bytes.Add({{"cache", name}});
    caches_[i].evictions = &evictions.Add({{"cache", name}});
  }
}

void WorkerMetrics::OnStage(worker::Stage stage, absl::Duration elapsed) {
  stage_seconds_.at(static_cast<size_t>(stage))
      ->Observe(absl::ToDoubleSeconds(elapsed));
}

void WorkerMetrics::OnBatch(int images, int heads) {
  batch_size_.Observe(images);
  batch_tasks_.Observe(heads);
  images_encoded_.Increment(images);
}

void WorkerMetrics::OnCacheUse(worker::Cache cache, worker::CacheUse use) {
  caches_.at(static_cast<size_t>(cache))
      .uses.at(static_cast<size_t>(use))
      ->Increment();
}

void WorkerMetrics::OnCacheSize(worker::Cache cache, int64_t bytes,
                                int64_t entries, int64_t evicted) {
  CacheSeries& series = caches_.at(static_cast<size_t>(cache));
  series.bytes->Set(static_cast<double>(bytes));
  series.evictions->Increment(static_cast<double>(evicted));
  if (cache == worker::Cache::kTextFeatures) {
    prompts_resident_.Set(static_cast<double>(entries));
  }
}

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

}  // namespace promptd::metrics

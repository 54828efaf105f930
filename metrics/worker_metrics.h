// What a worker tells about itself, as metrics: stages, batches,
// images, training steps and the slots of running jobs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "worker/observer.h"

namespace promptd::metrics {

// A slot's series exist from OnJobStarted to OnJobEnded. Thread-safe.
// `registry` must outlive this object.
class WorkerMetrics : public worker::Observer {
 public:
  explicit WorkerMetrics(prometheus::Registry& registry);

  void OnStage(worker::Stage stage, absl::Duration elapsed) override;
  void OnBatch(int images, int heads) override;
  void OnCacheUse(worker::Cache cache, worker::CacheUse use) override;
  void OnCacheSize(worker::Cache cache, int64_t bytes, int64_t entries,
                   int64_t evicted) override;
  void OnRejected(worker::Rejection why) override;
  void OnGivenUp(worker::Checkpoint where, bool expired) override;
  void OnQueued(int64_t images, int64_t bytes) override;
  void OnTenantCost(const std::string& tenant, absl::Duration cost) override;
  void OnImage(bool ok) override;
  void OnTrainingSteps(int64_t steps) override;
  void OnJobStarted(int slot, int64_t job, const std::string& task) override;
  void OnJobProgress(int slot, const worker::Progress& progress) override;
  void OnJobEnded(int slot) override;

 private:
  struct Slot {
    prometheus::Gauge* info;
    prometheus::Gauge* loss;
    prometheus::Gauge* accuracy;
    prometheus::Gauge* epoch;
  };
  void AddCaches(prometheus::Registry& registry);
  void AddScheduling(prometheus::Registry& registry);
  void RemoveSlot(int slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct CacheSeries {
    std::array<prometheus::Counter*, 4> uses{};  // by CacheUse
    prometheus::Gauge* bytes = nullptr;
    prometheus::Counter* evictions = nullptr;
  };

  std::array<prometheus::Histogram*, worker::kStages> stage_seconds_{};
  prometheus::Histogram& batch_size_;
  prometheus::Histogram& batch_tasks_;
  prometheus::Counter& images_encoded_;
  prometheus::Gauge& prompts_resident_;
  std::array<CacheSeries, worker::kCaches> caches_{};
  std::array<prometheus::Counter*, worker::kRejections> rejected_{};
  std::array<prometheus::Counter*, worker::kCheckpoints> expired_{};
  std::array<prometheus::Counter*, worker::kCheckpoints> cancelled_{};
  prometheus::Gauge* queued_images_ = nullptr;
  prometheus::Gauge* queued_bytes_ = nullptr;
  prometheus::Family<prometheus::Counter>* tenant_cost_ = nullptr;
  prometheus::Counter& training_steps_;
  prometheus::Counter* images_ok_;
  prometheus::Counter* images_error_;
  prometheus::Family<prometheus::Gauge>& slot_info_;
  prometheus::Family<prometheus::Gauge>& loss_;
  prometheus::Family<prometheus::Gauge>& accuracy_;
  prometheus::Family<prometheus::Gauge>& epoch_;
  absl::Mutex mutex_;
  std::map<int, Slot> slots_ ABSL_GUARDED_BY(mutex_);
  // The first tenants that come; "_other" for all behind them.
  std::map<std::string, prometheus::Counter*> cost_of_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::metrics

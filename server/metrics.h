// Everything that /metrics shows. Names and labels are a contract:
// tests/server/metrics_test.cc holds the list. Label values come from closed
// sets and exist from the start at 0; a running job's slot is the only series
// that comes and goes.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "metrics/process_metrics.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace promptd::server {

// The series of one RPC method. Thread-safe.
struct RpcSeries {
  static constexpr int kCodes = 17;

  void Record(absl::StatusCode code, absl::Duration elapsed) const;

  std::array<prometheus::Counter*, kCodes> requests{};
  // By outcome: ok, client_error, server_error.
  std::array<prometheus::Histogram*, 3> seconds{};
  prometheus::Gauge* in_flight = nullptr;
};

// Thread-safe.
class Metrics {
 public:
  explicit Metrics(const std::string& version);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The Prometheus text format, after running the refreshers.
  std::string Render();

  // Called before each rendering, one at a time; must not block for long.
  void AddRefresher(std::function<void()> refresher);

  // Creates the series of `service`/`method`; the same object ever after.
  const RpcSeries& Rpc(const std::string& service, const std::string& method);

  void SetReady(bool ready);
  // `state` and `result` as in JobState, lower case; others are ignored.
  void SetJobs(const std::string& state, double count);
  void JobFinished(const std::string& result);
  void JobQueued(absl::Duration elapsed);
  void JobRan(absl::Duration elapsed);

  prometheus::Registry& registry() { return registry_; }

 private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_seconds_;
  prometheus::Family<prometheus::Gauge>& in_flight_;
  prometheus::Gauge& ready_;
  prometheus::Histogram& job_queue_seconds_;
  prometheus::Histogram& job_run_seconds_;
  std::map<std::string, prometheus::Gauge*> jobs_;
  std::map<std::string, prometheus::Counter*> jobs_finished_;
  metrics::ProcessMetrics process_;
  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<RpcSeries>> rpcs_
      ABSL_GUARDED_BY(mutex_);
  absl::Mutex render_mutex_;
  std::vector<std::function<void()>> refreshers_ ABSL_GUARDED_BY(render_mutex_);
};

// Counts what LocalControl reads; the same series for each call.
prometheus::Counter& CorruptBlobs(prometheus::Registry& registry);

}  // namespace promptd::server

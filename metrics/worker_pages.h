// What a worker on another machine shows over HTTP: /metrics and /healthz.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/address.h"
#include "metrics/http_server.h"
#include "metrics/process_metrics.h"
#include "metrics/worker_metrics.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "worker/observer.h"

namespace promptd::metrics {

// Thread-safe.
class WorkerPages {
 public:
  WorkerPages();

  worker::Observer* observer() { return &worker_; }

  // Serves the pages. `healthy`: whether the worker is attached and serves;
  // called until StopServing has returned. UNAVAILABLE (CANNOT_LISTEN). Call
  // once.
  absl::Status Serve(const Address& address, std::function<bool()> healthy);
  void StopServing() { http_.reset(); }
  // 0 unless served.
  int port() const { return http_ == nullptr ? 0 : http_->port(); }

 private:
  // The Prometheus text format.
  std::string Render();

  prometheus::Registry registry_;
  WorkerMetrics worker_;
  ProcessMetrics process_;
  prometheus::Gauge& ready_;
  std::function<bool()> healthy_;
  absl::Mutex mutex_;  // one rendering at a time
  std::unique_ptr<HttpServer> http_;
};

}  // namespace promptd::metrics

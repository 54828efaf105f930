// The workers of this server, in this process and elsewhere, for people and
// metrics.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "jobs/job.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/backend.h"

namespace promptd::server {

struct FleetMember {
  std::string id;
  bool ready = false;
  std::string device;
  std::vector<std::string> encoder_digests;
  std::string address;  // of a worker elsewhere
  std::string version;
  int64_t load = 0;  // images and calls on their way to a worker elsewhere
};

// The one in this process first, the others by id.
std::vector<FleetMember> Fleet(const Backend& backend);

// Why a queued job does not start: no worker that is there now holds its
// encoder. Empty for every other job.
std::string WaitingFor(const Backend& backend, const jobs::Job& job);

// promptd_workers and promptd_worker_up. Thread-safe. `registry` must outlive
// this object.
class FleetMetrics {
 public:
  explicit FleetMetrics(prometheus::Registry& registry);

  void Set(const std::vector<FleetMember>& fleet);

 private:
  prometheus::Gauge* ready_;
  prometheus::Gauge* not_ready_;
  prometheus::Family<prometheus::Gauge>& up_;
  absl::Mutex mutex_;
  // The first ids that come, for ever: 0 once the worker has gone.
  std::map<std::string, prometheus::Gauge*> up_of_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server

// What the services work with. All pointers are borrowed from the Server and
// outlive every call.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/work_pool.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/garbage_collector.h"
#include "server/limits.h"
#include "server/metrics.h"
#include "server/version_pins.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "wire/routed_executor.h"
#include "wire/worker_registry.h"
#include "worker/executor.h"

namespace promptd::server {

struct Backend {
  store::Database* db = nullptr;
  store::BlobStore* blobs = nullptr;
  jobs::JobStore* jobs = nullptr;
  registry::Registry* registry = nullptr;
  VersionPins* pins = nullptr;
  worker::Executor* executor = nullptr;  // of all workers
  worker::Executor* local = nullptr;     // in this process; null: none
  // Of workers elsewhere; null when there is no port for them.
  const wire::RoutedExecutor* router = nullptr;
  const wire::WorkerRegistry* workers = nullptr;
  Metrics* metrics = nullptr;
  GarbageCollector* garbage = nullptr;
  WorkPool* pool = nullptr;
  const Clock* clock = nullptr;
  Limits limits;
  std::string version;
  // Name of the encoder that requests without one get; empty: the first.
  std::string default_encoder;
  std::string worker_id = "local";
  absl::Time start_time;
};

}  // namespace promptd::server

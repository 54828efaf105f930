// What the services work with. All pointers are borrowed from the Server and
// outlive every call.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/clock.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/limits.h"
#include "server/metrics.h"
#include "server/version_pins.h"
#include "server/work_pool.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "worker/executor.h"

namespace promptd::server {

struct Backend {
  store::Database* db = nullptr;
  store::BlobStore* blobs = nullptr;
  jobs::JobStore* jobs = nullptr;
  registry::Registry* registry = nullptr;
  VersionPins* pins = nullptr;
  worker::Executor* executor = nullptr;
  Metrics* metrics = nullptr;
  WorkPool* pool = nullptr;
  const Clock* clock = nullptr;
  Limits limits;
  std::string version;
  // Name of the encoder that requests without one get.
  std::string default_encoder;
  std::string worker_id = "local";
  absl::Time start_time;
};

}  // namespace promptd::server

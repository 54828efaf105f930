// What the services work with. All pointers are borrowed from the Server and
// outlive every call.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "server/limits.h"

namespace promptd {
class Clock;
class WorkPool;
namespace jobs {
class JobStore;
}
namespace registry {
class Registry;
}
namespace store {
class BlobStore;
class Database;
}  // namespace store
namespace wire {
class RoutedExecutor;
class WorkerRegistry;
}  // namespace wire
namespace worker {
class Executor;
}
}  // namespace promptd

namespace promptd::server {

class GarbageCollector;
class Metrics;
class VersionPins;

// A file includes what it uses of these.
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

// The whole front end: store, services, health, metrics, listeners.
//
//   auto server = Server::Create(options, Clock::Real());
//   worker->Start((*server)->control());
//   (*server)->Start(worker.get());
//   ... wait for a signal ...
//   (*server)->Shutdown(absl::Now() + grace);
//   worker->Stop(absl::Now() + grace);
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "common/clock.h"
#include "jobs/job_store.h"
#include "server/limits.h"
#include "server/worker_gateway.h"
#include "store/sqlite_database.h"
#include "worker/control.h"
#include "worker/executor.h"
#include "worker/observer.h"

namespace promptd::server {

struct ServerOptions {
  std::string data_dir;
  Address listen{"127.0.0.1", 7080};
  std::optional<Address> http = Address{"127.0.0.1", 7081};
  absl::Duration lease = absl::Seconds(15);
  // Name of the encoder that requests without one get; empty: the first.
  std::string default_encoder;
  std::string worker_id = "local";
  // The port for workers elsewhere; none: there is no such port.
  std::optional<WorkerGatewayOptions> workers;
  Limits limits;
  int64_t max_blob_bytes = 0;   // of all blobs; 0: no bound
  int tenant_running_jobs = 0;  // at once; 0: no bound
  // Between two garbage collections; 0: only those that are asked for.
  absl::Duration gc_interval = absl::Hours(1);
  // Cached image features that nobody used for so long go with the garbage.
  absl::Duration feature_retention = absl::Hours(24 * 7);
  // Memory, of the database's pages.
  int64_t max_database_cache_bytes = store::kDefaultCacheBytes;
  // Opens a data directory on NFS, SMB or FUSE too.
  bool allow_network_file_system = false;
  // Threads for work that blocks, and calls that may wait for one.
  int pool_threads = 4;
  size_t pool_queue = 256;
};

// Thread-safe.
class Server {
 public:
  // Opens the data directory and its database, gives jobs that a crash left
  // running in this process back to the queue, and lets those of workers
  // elsewhere run on. Nothing listens yet. Errors:
  // store/sqlite_database.h, store/blob_store.h.
  static absl::StatusOr<std::unique_ptr<Server>> Create(
      const ServerOptions& options, const Clock* clock);

  // Shuts down without grace. The executor must still live.
  virtual ~Server() = default;

  // For the in-process worker; valid until the server is destroyed.
  virtual worker::Control* control() = 0;
  virtual worker::Observer* observer() = 0;

  // Listens and serves. `executor`, of the worker in this process, must outlive
  // the server; null: there is none, only workers elsewhere. Call once.
  // UNAVAILABLE (CANNOT_LISTEN); NOT_FOUND (ENCODER_NOT_FOUND) for the
  // default encoder.
  virtual absl::Status Start(worker::Executor* executor) = 0;

  // Where it listens, with the real ports; after Start().
  virtual Address listen_address() const = 0;
  virtual std::optional<Address> http_address() const = 0;
  virtual std::optional<Address> worker_address() const = 0;

  // Health says NOT_SERVING, watches end, new calls are refused, running ones
  // may finish until `deadline` and are cancelled then. Idempotent.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace promptd::server

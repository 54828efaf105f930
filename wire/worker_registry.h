// The workers that are attached to a front end: what they hold, whether they
// serve, what they have leased, and a connection to each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "wire/channel.h"
#include "wire/executor_client.h"
#include "wire/route_target.h"
#include "wire/tls.h"
#include "wire/worker_token.h"
#include "worker/executor.h"

namespace promptd::wire {

// How a worker introduces itself.
struct WorkerHello {
  std::string id;
  std::string address;  // HOST:PORT of its ExecutorService
  std::string version;
  std::vector<worker::EncoderDescription> encoders;
};

struct LeaseName {
  int64_t job = 0;
  int64_t fence = 0;

  friend auto operator<=>(const LeaseName&, const LeaseName&) = default;
};

// The stream that a worker is attached by. Thread-safe; must not block.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void HintWork() = 0;
  virtual void Close(const absl::Status& why) = 0;
};

// What a front end does about workers that come and go. Called without a lock
// on a thread that may block.
class RegistryEvents {
 public:
  virtual ~RegistryEvents() = default;
  // May refuse the worker.
  virtual absl::Status OnAttach(const WorkerHello& hello) = 0;
  // Its leases end now.
  virtual void OnDetach(const WorkerHello& hello,
                        const std::vector<LeaseName>& leases) = 0;
};

struct RegistryOptions {
  // A worker that was silent for this long gets no calls, and those it has go
  // to others, where there are some.
  absl::Duration suspect_after = absl::Milliseconds(800);
  // Its stream is closed after this.
  absl::Duration close_after = absl::Seconds(15);
  // There is a worker that is not in this registry, in this process.
  bool others_serve = false;
  // Of the connections to workers; none: without TLS.
  std::optional<TlsIdentity> tls = std::nullopt;
};

// For people and metrics.
struct WorkerStatus {
  WorkerHello hello;
  bool ready = false;  // serves, and is not silent
  int64_t load = 0;    // images and calls on their way
  absl::Time attached;
};

// Thread-safe.
class WorkerRegistry {
 public:
  // `events` must outlive this.
  WorkerRegistry(const RegistryOptions& options, WorkerToken token,
                 RegistryEvents* events);
  ~WorkerRegistry();
  WorkerRegistry(const WorkerRegistry&) = delete;
  WorkerRegistry& operator=(const WorkerRegistry&) = delete;

  // Returns the name of the new session. INVALID_ARGUMENT (BAD_WORKER) for an
  // id, an address or encoders that cannot be; ALREADY_EXISTS
  // (WORKER_ID_TAKEN) while another worker of this id beats; what OnAttach
  // refuses it with.
  absl::StatusOr<std::string> Attach(const WorkerHello& hello,
                                     const std::shared_ptr<WorkerLink>& link);
  // The session's worker is alive.
  void Beat(const std::string& session, bool ready);
  // Ends a session with its leases and calls; nothing if it has ended.
  void Detach(const std::string& session);

  // Ends all of them.
  void DetachAll();

  // The worker of a session. FAILED_PRECONDITION (NOT_ATTACHED).
  absl::StatusOr<WorkerHello> Find(const std::string& session) const;
  // The session holds this lease now; false if it has ended.
  bool AddLease(const std::string& session, const LeaseName& lease);
  void RemoveLease(const std::string& session, const LeaseName& lease);

  // Tells all workers that there may be work.
  void HintWork();

  // Who can be asked now: ready, not silent, and holding this encoder.
  std::vector<std::shared_ptr<RouteTarget>> Targets(
      const std::string& encoder_digest) const;
  bool AnyReady() const;
  bool Holds(const std::string& encoder_digest) const;
  // Of all workers that were ever attached: a worker that restarts does not
  // make its encoder unknown.
  std::vector<worker::EncoderDescription> KnownEncoders() const;
  // By id.
  std::vector<WorkerStatus> Workers() const;

 private:
  struct Session {
    WorkerHello hello;
    std::shared_ptr<WorkerLink> link;
    std::shared_ptr<ExecutorClient> client;
    std::shared_ptr<RouteTarget> target;
    bool ready = false;
    absl::Time attached;
    int64_t last_beat_ns = 0;  // on the monotonic clock
    bool suspected = false;
    std::set<LeaseName> leases;
  };

  absl::Status CheckHello(const WorkerHello& hello) const;
  bool Silent(const Session& session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Serves(const Session& session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Watch();
  void WatchOnce();

  const RegistryOptions options_;
  const WorkerToken token_;
  RegistryEvents* const events_;
  Channels channels_;  // to the workers
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  // By digest.
  std::map<std::string, worker::EncoderDescription> known_
      ABSL_GUARDED_BY(mutex_);
  std::thread watcher_;
};

}  // namespace promptd::wire

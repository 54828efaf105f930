// The front end's door for workers on other machines: a port, the registry of
// who is attached, and what follows when one comes or goes.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "common/work_pool.h"
#include "jobs/change_hub.h"
#include "server/backend.h"
#include "wire/listener.h"
#include "wire/method_table.h"
#include "wire/tls.h"
#include "wire/worker_registry.h"
#include "wire/worker_token.h"
#include "worker/control.h"

namespace promptd::server {

struct WorkerGatewayOptions {
  Address listen;
  wire::WorkerToken token;
  std::optional<wire::TlsIdentity> tls;
};

// Thread-safe.
class WorkerGateway : public wire::RegistryEvents {
 public:
  // All pointers are borrowed. `lease` is that of `control`.
  WorkerGateway(const WorkerGatewayOptions& options, const Backend* backend,
                worker::Control* control, absl::Duration lease);
  // Shutdown() without grace.
  ~WorkerGateway() override;

  const wire::WorkerRegistry& registry() const { return registry_; }

  // UNAVAILABLE (CANNOT_LISTEN). Call once.
  absl::Status Listen();
  Address address() const;

  // Lets the workers go, who keep their jobs: they come back to the front end
  // that follows. Idempotent.
  void Shutdown(absl::Time deadline);

  // Refuses an encoder whose name stands for another one here: ALREADY_EXISTS
  // (ENCODER_NAME_TAKEN).
  absl::Status OnAttach(const wire::WorkerHello& hello) override;
  // Queues the jobs again, at once.
  void OnDetach(const wire::WorkerHello& hello,
                const std::vector<wire::LeaseName>& leases) override;

 private:
  const WorkerGatewayOptions options_;
  const Backend& backend_;
  std::atomic<bool> closing_ = false;
  wire::WorkerRegistry registry_;
  std::unique_ptr<wire::MethodTable> table_;
  // Of their own: a rush of clients must not keep heartbeats waiting.
  WorkPool pool_;
  std::unique_ptr<jobs::ChangeHub::Subscription> work_;
  std::unique_ptr<wire::Listener> listener_;
};

}  // namespace promptd::server

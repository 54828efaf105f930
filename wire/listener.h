// The port on which one of our processes serves another one.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "grpcpp/server.h"
#include "wire/method_table.h"
#include "wire/tls.h"

namespace grpc {
class ServerBuilder;
}

namespace promptd::wire {

// Thread-safe.
class Listener {
 public:
  // Serves `table`, which must outlive this. `adjust`, which may be empty, has
  // the last word on the builder. UNAVAILABLE (CANNOT_LISTEN).
  static absl::StatusOr<std::unique_ptr<Listener>> Start(
      const Address& address, const std::optional<TlsIdentity>& tls,
      MethodTable* table,
      const std::function<void(grpc::ServerBuilder*)>& adjust = {});

  // Shutdown() without grace.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }

  // Refuses new calls, waits for the running ones until `deadline` and cancels
  // them then. Idempotent.
  void Shutdown(absl::Time deadline);

 private:
  Listener() = default;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace promptd::wire

// The gRPC side of the server: which services listen, under which limits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server.h"
#include "server/limits.h"

namespace promptd::server {

// Thread-safe.
class GrpcListener {
 public:
  // Listens on `address` without TLS; `services` must outlive the listener.
  // Reflection answers only when the address is loopback. Health starts as
  // NOT_SERVING. UNAVAILABLE (CANNOT_LISTEN), also when the port is in use.
  static absl::StatusOr<std::unique_ptr<GrpcListener>> Start(
      const Address& address, const Limits& limits,
      const std::vector<grpc::Service*>& services);

  ~GrpcListener();
  GrpcListener(const GrpcListener&) = delete;
  GrpcListener& operator=(const GrpcListener&) = delete;

  int port() const { return port_; }

  // For the whole server ("") and for each service by name.
  void SetServing(bool serving);

  // Refuses new calls, waits for the running ones until `deadline`, cancels
  // them then. Call once.
  void Shutdown(absl::Time deadline);

 private:
  GrpcListener() = default;

  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> names_;
  int port_ = 0;
};

}  // namespace promptd::server

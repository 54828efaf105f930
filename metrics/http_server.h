// The plain HTTP side: GET /metrics and GET /healthz, nothing else. No files
// are ever served. Meant for loopback or a trusted network.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

class CivetHandler;
class CivetServer;

namespace promptd::metrics {

struct HttpPages {
  // The body of /metrics, Prometheus text format.
  std::function<std::string()> metrics;
  // Whether /healthz answers 200 or 503.
  std::function<bool()> healthy;
};

// Thread-safe.
class HttpServer {
 public:
  // Listens on `host`:`port` (0: a free port). The pages run on the server's
  // threads until it is destroyed. UNAVAILABLE (CANNOT_LISTEN).
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const std::string& host, int port, HttpPages pages);

  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }

 private:
  HttpServer() = default;

  std::unique_ptr<CivetHandler> handler_;
  std::unique_ptr<CivetServer> server_;
  std::string host_;
  int port_ = 0;
};

}  // namespace promptd::metrics

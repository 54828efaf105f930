#include "metrics/http_server.h"

#include <CivetServer.h>

#include <atomic>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/error.h"
#include "common/log.h"

namespace promptd::metrics {
namespace {

struct Reply {
  int code = 200;
  const char* phrase = "OK";
  const char* type = "text/plain; charset=utf-8";
  std::string body;
};

Reply Answer(const HttpPages& pages, const std::string& method,
             const std::string& path) {
  if (path != "/metrics" && path != "/healthz") {
    return {404, "Not Found", "text/plain; charset=utf-8", "not found\n"};
  }
  if (method != "GET") {
    return {405, "Method Not Allowed", "text/plain; charset=utf-8",
            "only GET\n"};
  }
  if (path == "/metrics") {
    return {200, "OK", "text/plain; version=0.0.4; charset=utf-8",
            pages.metrics()};
  }
  if (pages.healthy()) {
    return {200, "OK", "application/json", "{\"status\":\"serving\"}\n"};
  }
  return {503, "Service Unavailable", "application/json",
          "{\"status\":\"not serving\"}\n"};
}

class PageHandler : public CivetHandler {
 public:
  explicit PageHandler(HttpPages pages) : pages_(std::move(pages)) {}

  bool handleGet(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handlePost(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handleHead(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handlePut(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handleDelete(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handleOptions(CivetServer*, mg_connection* c) override { return Run(c); }
  bool handlePatch(CivetServer*, mg_connection* c) override { return Run(c); }

 private:
  bool Run(mg_connection* connection) {
    const mg_request_info* request = mg_get_request_info(connection);
    Reply reply;
    try {
      reply = Answer(pages_, request->request_method, request->local_uri);
    } catch (const std::exception& error) {
      LogEvent(spdlog::level::err, "http_failed", {{"error", error.what()}});
      reply = {500, "Internal Server Error", "text/plain; charset=utf-8",
               "internal error\n"};
    }
    const std::string head = absl::StrCat(
        "HTTP/1.1 ", reply.code, " ", reply.phrase,
        "\r\nContent-Type: ", reply.type,
        "\r\nContent-Length: ", reply.body.size(),
        reply.code == 405 ? "\r\nAllow: GET" : "",
        "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"
        "\r\nConnection: close\r\n\r\n");
    mg_write(connection, head.data(), head.size());
    if (std::string(request->request_method) != "HEAD") {
      mg_write(connection, reply.body.data(), reply.body.size());
    }
    return true;
  }

  const HttpPages pages_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const std::string& host, int port, HttpPages pages) {
  std::unique_ptr<HttpServer> server(new HttpServer);
  const std::vector<std::string> options = {
      "listening_ports",    absl::StrCat(host, ":", port),
      "num_threads",        "3",
      "connection_queue",   "16",
      "request_timeout_ms", "5000",
      "max_request_size",   "8192",
      "enable_keep_alive",  "no"};
  server->host_ = host;
  try {
    server->handler_ = std::make_unique<PageHandler>(std::move(pages));
    server->server_ = std::make_unique<CivetServer>(options);
    server->server_->addHandler("**", server->handler_.get());
    const std::vector<int> ports = server->server_->getListeningPorts();
    if (!ports.empty()) server->port_ = ports[0];
  } catch (const std::exception&) {
    server->server_.reset();
  }
  if (server->server_ == nullptr || server->port_ == 0) {
    return MakeError(
        absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
        absl::StrCat("cannot listen on http ", host, ":", port,
                     ": the address is in use or not this machine's; choose "
                     "another with --http, or --http '' for none"));
  }
  return server;
}

// civetweb looks at its stop flag only when a connection comes or two seconds
// have passed, so connections are made until it has stopped.
HttpServer::~HttpServer() {
  if (server_ == nullptr || port_ == 0) return;
  std::atomic<bool> stopped = false;
  std::thread waker([this, &stopped] {
    char error[100];
    while (!stopped) {
      mg_connection* connection = mg_connect_client(
          host_.c_str(), port_, /*use_ssl=*/0, error, sizeof(error));
      if (connection != nullptr) mg_close_connection(connection);
      absl::SleepFor(absl::Milliseconds(10));
    }
  });
  server_.reset();
  stopped = true;
  waker.join();
}

}  // namespace promptd::metrics

#include "metrics/worker_pages.h"

#include <utility>

#include "common/status_macros.h"
#include "prometheus/text_serializer.h"

namespace promptd::metrics {

WorkerPages::WorkerPages()
    : worker_(registry_),
      process_(registry_),
      ready_(prometheus::BuildGauge()
                 .Name("promptd_ready")
                 .Help("1 while the worker is attached and serves.")
                 .Register(registry_)
                 .Add({})) {}

absl::Status WorkerPages::Serve(const Address& address,
                                std::function<bool()> healthy) {
  healthy_ = std::move(healthy);
  ASSIGN_OR_RETURN(http_,
                   HttpServer::Start(address.host, address.port,
                                     {.metrics = [this] { return Render(); },
                                      .healthy = healthy_}));
  return absl::OkStatus();
}

std::string WorkerPages::Render() {
  absl::MutexLock lock(&mutex_);
  process_.Refresh();
  ready_.Set(healthy_() ? 1 : 0);
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace promptd::metrics

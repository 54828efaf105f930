#include "server/worker_gateway.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/reflection_gate.h"
#include "wire/control_service.h"
#include "wire/routed_executor.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

constexpr int kThreads = 4;
constexpr size_t kQueue = 4096;

}  // namespace

WorkerGateway::WorkerGateway(const WorkerGatewayOptions& options,
                             const Backend* backend, worker::Control* control,
                             absl::Duration lease)
    : options_(options),
      backend_(*backend),
      registry_({.close_after = lease,
                 .others_serve = backend->local != nullptr,
                 .tls = options.tls},
                options.token, this),
      table_(wire::MakeControlService(
          options.token,
          [this](std::function<void()> task) {
            return pool_.TrySubmit(std::move(task));
          },
          control, &registry_, lease)),
      pool_(kThreads, kQueue) {}

WorkerGateway::~WorkerGateway() { Shutdown(absl::InfinitePast()); }

absl::Status WorkerGateway::Listen() {
  work_ = backend_.jobs->SubscribeWork([this] { registry_.HintWork(); });
  ASSIGN_OR_RETURN(listener_,
                   wire::Listener::Start(options_.listen, options_.tls,
                                         table_.get(), CloseReflection));
  return absl::OkStatus();
}

Address WorkerGateway::address() const {
  return {options_.listen.host, listener_ == nullptr ? 0 : listener_->port()};
}

void WorkerGateway::Shutdown(absl::Time deadline) {
  closing_ = true;
  work_.reset();
  registry_.DetachAll();
  if (listener_ != nullptr) listener_->Shutdown(deadline);
}

absl::Status WorkerGateway::OnAttach(const wire::WorkerHello& hello) {
  if (closing_) {
    return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                     "the front end is shutting down");
  }
  for (const worker::EncoderDescription& encoder : hello.encoders) {
    for (const auto& known : backend_.executor->Encoders()) {
      if (known.name != encoder.name || known.digest == encoder.digest) {
        continue;
      }
      // The name of an encoder that has gone may be given again.
      if (!backend_.router->Holds(known.digest)) continue;
      return MakeError(
          absl::StatusCode::kAlreadyExists, "ENCODER_NAME_TAKEN",
          absl::StrCat("the encoder \"", encoder.name, "\" of worker ",
                       hello.id, " has the digest ", encoder.digest,
                       ", and the one of this name here has ", known.digest,
                       ": give both workers the same files, or another name"));
    }
    RETURN_IF_ERROR(backend_.registry->prompts().RecordEncoder(encoder.digest,
                                                               encoder.name));
  }
  return absl::OkStatus();
}

void WorkerGateway::OnDetach(const wire::WorkerHello& hello,
                             const std::vector<wire::LeaseName>& leases) {
  if (closing_) return;
  for (const wire::LeaseName& lease : leases) {
    const absl::Status lost = backend_.jobs->LoseLease(lease.job, lease.fence);
    LogEvent(lost.ok() ? spdlog::level::warn : spdlog::level::err, "lease_lost",
             {{"worker", hello.id},
              {"job", lease.job},
              {"error", std::string(lost.message())}});
  }
}

}  // namespace promptd::server

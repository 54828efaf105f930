#include "server/fleet.h"

#include "absl/strings/str_cat.h"
#include "prometheus/family.h"
#include "wire/worker_registry.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

constexpr size_t kWorkerSeries = 64;

void AddEncoders(const std::vector<worker::EncoderDescription>& encoders,
                 FleetMember* member) {
  for (const worker::EncoderDescription& encoder : encoders) {
    member->encoder_digests.push_back(encoder.digest);
    member->device = encoder.device;  // the same of all
  }
}

}  // namespace

std::vector<FleetMember> Fleet(const Backend& backend) {
  std::vector<FleetMember> fleet;
  if (backend.local != nullptr) {
    FleetMember& local = fleet.emplace_back();
    local.id = backend.worker_id;
    local.ready = backend.local->Ready();
    local.version = backend.version;
    AddEncoders(backend.local->Encoders(), &local);
  }
  if (backend.workers == nullptr) return fleet;
  for (const wire::WorkerStatus& worker : backend.workers->Workers()) {
    FleetMember& member = fleet.emplace_back();
    member.id = worker.hello.id;
    member.ready = worker.ready;
    member.address = worker.hello.address;
    member.version = worker.hello.version;
    member.load = worker.load;
    AddEncoders(worker.hello.encoders, &member);
  }
  return fleet;
}

std::string WaitingFor(const Backend& backend, const jobs::Job& job) {
  if (job.state != jobs::JobState::kQueued) return "";
  for (const FleetMember& member : Fleet(backend)) {
    for (const std::string& digest : member.encoder_digests) {
      if (digest == job.encoder_digest) return "";
    }
  }
  std::string name;
  for (const auto& encoder : backend.executor->Encoders()) {
    if (encoder.digest == job.encoder_digest) {
      name = absl::StrCat("\"", encoder.name, "\" ");
    }
  }
  return absl::StrCat("no worker holds its encoder ", name, "(",
                      job.encoder_digest.substr(0, 12),
                      "): start promptd or a promptd-worker with it");
}

FleetMetrics::FleetMetrics(prometheus::Registry& registry)
    : up_(prometheus::BuildGauge()
              .Name("promptd_worker_up")
              .Help("1 while the worker is there and serves. Of the first 64 "
                    "workers.")
              .Register(registry)) {
  auto& workers = prometheus::BuildGauge()
                      .Name("promptd_workers")
                      .Help("Workers that are there now.")
                      .Register(registry);
  ready_ = &workers.Add({{"state", "ready"}});
  not_ready_ = &workers.Add({{"state", "not_ready"}});
}

void FleetMetrics::Set(const std::vector<FleetMember>& fleet) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, gauge] : up_of_) gauge->Set(0);
  int ready = 0;
  for (const FleetMember& member : fleet) {
    ready += member.ready ? 1 : 0;
    auto found = up_of_.find(member.id);
    if (found == up_of_.end()) {
      if (up_of_.size() >= kWorkerSeries) continue;
      found =
          up_of_.emplace(member.id, &up_.Add({{"worker", member.id}})).first;
    }
    found->second->Set(member.ready ? 1 : 0);
  }
  ready_->Set(ready);
  not_ready_->Set(static_cast<double>(fleet.size()) - ready);
}

}  // namespace promptd::server

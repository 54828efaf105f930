#include "server/metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "metrics/latency_buckets.h"
#include "prometheus/text_serializer.h"

namespace promptd::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

constexpr std::array<const char*, 3> kOutcomes = {"ok", "client_error",
                                                  "server_error"};

int OutcomeIndex(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return 2;
    default:
      return 1;
  }
}

prometheus::Histogram::BucketBoundaries JobBuckets() {
  return {1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200};
}

prometheus::Histogram& JobHistogram(prometheus::Registry& registry,
                                    const std::string& name,
                                    const std::string& help) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add(
      {}, JobBuckets());
}

}  // namespace

void RpcSeries::Record(absl::StatusCode code, absl::Duration elapsed) const {
  requests[static_cast<int>(code) % kCodes]->Increment();
  seconds[OutcomeIndex(code)]->Observe(absl::ToDoubleSeconds(elapsed));
}

Metrics::Metrics(const std::string& version)
    : requests_(BuildCounter()
                    .Name("promptd_grpc_requests_total")
                    .Help("RPCs that ended, by canonical status code.")
                    .Register(registry_)),
      request_seconds_(BuildHistogram()
                           .Name("promptd_grpc_request_duration_seconds")
                           .Help("Time from an RPC's start to its end, for "
                                 "every outcome.")
                           .Register(registry_)),
      in_flight_(BuildGauge()
                     .Name("promptd_grpc_in_flight")
                     .Help("RPCs that have started and not ended.")
                     .Register(registry_)),
      ready_(BuildGauge()
                 .Name("promptd_ready")
                 .Help("1 while requests are served, 0 before and after.")
                 .Register(registry_)
                 .Add({})),
      job_queue_seconds_(JobHistogram(
          registry_, "promptd_job_queue_seconds",
          "Time from a job's creation to the start of its first attempt.")),
      job_run_seconds_(JobHistogram(
          registry_, "promptd_job_run_seconds",
          "Time from the start of a job's first attempt to its end.")),
      process_(registry_) {
  BuildGauge()
      .Name("promptd_build_info")
      .Help("Always 1; the version is in the label.")
      .Register(registry_)
      .Add({{"version", version}})
      .Set(1);
  auto& jobs = BuildGauge()
                   .Name("promptd_jobs")
                   .Help("Training jobs in each state.")
                   .Register(registry_);
  for (const char* state :
       {"queued", "running", "paused", "succeeded", "failed", "cancelled"}) {
    jobs_[state] = &jobs.Add({{"state", state}});
  }
  CorruptBlobs(registry_);
  auto& finished = BuildCounter()
                       .Name("promptd_jobs_finished_total")
                       .Help(
                           "Training jobs that reached an end state while "
                           "this process ran.")
                       .Register(registry_);
  for (const char* result : {"succeeded", "failed", "cancelled"}) {
    jobs_finished_[result] = &finished.Add({{"result", result}});
  }
}

prometheus::Counter& CorruptBlobs(prometheus::Registry& registry) {
  return BuildCounter()
      .Name("promptd_blobs_corrupt_total")
      .Help("Blobs that were read for a worker and did not match their digest.")
      .Register(registry)
      .Add({});
}

std::string Metrics::Render() {
  absl::MutexLock lock(&render_mutex_);
  process_.Refresh();
  for (const auto& refresher : refreshers_) refresher();
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

void Metrics::AddRefresher(std::function<void()> refresher) {
  absl::MutexLock lock(&render_mutex_);
  refreshers_.push_back(std::move(refresher));
}

const RpcSeries& Metrics::Rpc(const std::string& service,
                              const std::string& method) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<RpcSeries>& entry = rpcs_[absl::StrCat(service, "/", method)];
  if (entry != nullptr) return *entry;
  auto series = std::make_unique<RpcSeries>();
  for (int code = 0; code < RpcSeries::kCodes; ++code) {
    series->requests[code] = &requests_.Add(
        {{"service", service},
         {"method", method},
         {"code",
          absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
  }
  for (size_t i = 0; i < kOutcomes.size(); ++i) {
    series->seconds[i] =
        &request_seconds_.Add({{"method", method}, {"outcome", kOutcomes[i]}},
                              metrics::LatencyBuckets());
  }
  series->in_flight = &in_flight_.Add({{"method", method}});
  entry = std::move(series);
  return *entry;
}

void Metrics::SetReady(bool ready) { ready_.Set(ready ? 1 : 0); }

void Metrics::SetJobs(const std::string& state, double count) {
  const auto it = jobs_.find(state);
  if (it != jobs_.end()) it->second->Set(count);
}

void Metrics::JobFinished(const std::string& result) {
  const auto it = jobs_finished_.find(result);
  if (it != jobs_finished_.end()) it->second->Increment();
}

void Metrics::JobQueued(absl::Duration elapsed) {
  job_queue_seconds_.Observe(absl::ToDoubleSeconds(elapsed));
}

void Metrics::JobRan(absl::Duration elapsed) {
  job_run_seconds_.Observe(absl::ToDoubleSeconds(elapsed));
}

}  // namespace promptd::server

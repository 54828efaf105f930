#include "server/upkeep.h"

#include "server/log.h"

namespace promptd::server {
namespace {

constexpr int kJobsPerRound = 100;

}  // namespace

Upkeep::Upkeep(jobs::JobStore* jobs, absl::Duration interval)
    : jobs_(jobs), thread_([this, interval] { Run(interval); }) {}

Upkeep::~Upkeep() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void Upkeep::Run(absl::Duration interval) {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopped_), interval);
      if (stopped_) return;
    }
    const auto expired = jobs_->ExpireLeases();
    if (!expired.ok()) {
      LogEvent(spdlog::level::err, "upkeep_failed",
               {{"error", std::string(expired.status().message())}});
    } else if (*expired > 0) {
      LogEvent(spdlog::level::warn, "leases_expired", {{"jobs", *expired}});
    }
    const auto pruned = jobs_->PruneFinished(kJobsPerRound);
    if (!pruned.ok()) {
      LogEvent(spdlog::level::err, "upkeep_failed",
               {{"error", std::string(pruned.status().message())}});
    } else if (*pruned > 0) {
      LogEvent(spdlog::level::info, "jobs_pruned", {{"jobs", *pruned}});
    }
  }
}

}  // namespace promptd::server

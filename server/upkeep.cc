#include "server/upkeep.h"

#include <malloc.h>

#include <string>

#include "absl/time/clock.h"
#include "common/log.h"

namespace promptd::server {
namespace {

constexpr absl::Duration kTrimInterval = absl::Minutes(1);
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
  absl::Time next_trim = absl::Now() + kTrimInterval;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopped_), interval);
      if (stopped_) return;
    }
    ExpireLeases();
    PruneFinished();
    if (absl::Now() < next_trim) continue;
    // What many threads freed stays in their arenas otherwise.
    ::malloc_trim(0);
    next_trim = absl::Now() + kTrimInterval;
  }
}

void Upkeep::ExpireLeases() {
  const auto expired = jobs_->ExpireLeases();
  if (!expired.ok()) {
    LogEvent(spdlog::level::err, "upkeep_failed",
             {{"error", std::string(expired.status().message())}});
  } else if (*expired > 0) {
    LogEvent(spdlog::level::warn, "leases_expired", {{"jobs", *expired}});
  }
}

void Upkeep::PruneFinished() {
  const auto pruned = jobs_->PruneFinished(kJobsPerRound);
  if (!pruned.ok()) {
    LogEvent(spdlog::level::err, "upkeep_failed",
             {{"error", std::string(pruned.status().message())}});
  } else if (*pruned > 0) {
    LogEvent(spdlog::level::info, "jobs_pruned", {{"jobs", *pruned}});
  }
}

}  // namespace promptd::server

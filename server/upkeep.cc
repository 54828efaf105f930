#include "server/upkeep.h"

#include <malloc.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "common/log.h"

namespace promptd::server {
namespace {

constexpr absl::Duration kTrimInterval = absl::Minutes(1);
constexpr int kJobsPerRound = 100;

// Logs how many jobs it was, if any.
void Report(const absl::StatusOr<int>& jobs, spdlog::level::level_enum level,
            const std::string& event) {
  if (!jobs.ok()) {
    LogEvent(spdlog::level::err, "upkeep_failed",
             {{"error", std::string(jobs.status().message())}});
  } else if (*jobs > 0) {
    LogEvent(level, event, {{"jobs", *jobs}});
  }
}

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
    Report(jobs_->ExpireLeases(), spdlog::level::warn, "leases_expired");
    Report(jobs_->PruneFinished(kJobsPerRound), spdlog::level::info,
           "jobs_pruned");
    if (absl::Now() < next_trim) continue;
    // What many threads freed stays in their arenas otherwise.
    ::malloc_trim(0);
    next_trim = absl::Now() + kTrimInterval;
  }
}

}  // namespace promptd::server

// Runs the members of an experiment on a promptd and keeps their results.
//
// Each member is a training job and, for its targets, evaluation jobs. Their
// request ids follow from what they ask for, so whoever asks again, after a
// kill of either side, finds the same jobs; a result is written once a member
// is complete, and members that have one are not asked for again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/session.h"
#include "experiments/plan.h"
#include "experiments/resolve.h"
#include "experiments/result.h"

namespace promptd::client {

struct ExperimentRunOptions {
  // Nothing new is submitted and nobody waited for after that.
  std::optional<absl::Duration> budget;
  bool retry_failed = false;
  // Between looks at the jobs.
  absl::Duration poll = absl::Milliseconds(200);
  // A server that is away is waited for this long.
  absl::Duration patience = absl::Seconds(60);
};

struct ExperimentRunOutcome {
  int64_t found = 0;      // members that had a result already
  int64_t succeeded = 0;  // of all
  int64_t failed = 0;     // of all
  int64_t left = 0;       // without a result: the time was up
  int64_t going_on = 0;   // jobs that the server still has
};

// `plan` is resolved. A member that fails is a result, no error. Errors: the
// server's when it is away for longer than `patience` or refuses whoever asks;
// ResultFolder's.
absl::StatusOr<ExperimentRunOutcome> RunExperiment(
    Session& session, const experiments::Plan& plan,
    const experiments::Held& held, experiments::ResultFolder& folder,
    const ExperimentRunOptions& options);

}  // namespace promptd::client

// How long the rest of an experiment takes, from what its members took.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "experiments/plan.h"
#include "experiments/result.h"

namespace promptd::experiments {

// A member without a result counts as the mean of those with its encoder,
// method and shots that succeeded; else of its method; else of all. Nothing
// while there is none. Jobs are taken to run one after the other, as on one
// worker.
std::optional<absl::Duration> EstimateLeft(
    const Plan& plan, const std::map<std::string, MemberResult>& results);

}  // namespace promptd::experiments

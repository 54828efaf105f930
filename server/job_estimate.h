// What a training job would cost, before there is one.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"
#include "server/spec_resolver.h"

namespace promptd::server {

// Images and steps follow from the specification; the time from what finished
// jobs of the same encoder and method took for theirs. Errors: the store's.
absl::StatusOr<v1::JobEstimate> EstimateJob(const Backend& backend,
                                            const std::string& tenant,
                                            const ResolvedSpec& resolved);

}  // namespace promptd::server

// From a benchmark's names to what the server holds: folders are pushed where
// it lacks them, encoders and registered datasets are looked up.
#pragma once

#include "absl/status/statusor.h"
#include "client/session.h"
#include "experiments/benchmark.h"
#include "experiments/plan.h"
#include "experiments/resolve.h"

namespace promptd::client {

// Everything that `plan` names. A folder whose images the server holds under
// the dataset's name is not pushed; where the name holds other images, the
// dataset is called "NAME-<first digits of its digest>".
// INVALID_ARGUMENT (BAD_BENCHMARK) with every problem at once: datasets and
// encoders that the server lacks, and CheckClasses's; the errors of
// ReadDatasetFolder and PushDataset.
absl::StatusOr<experiments::Held> HoldInputs(
    Session& session, const experiments::Benchmark& benchmark,
    const experiments::Plan& plan);

}  // namespace promptd::client

// From what a client asks to evaluate to a complete specification: names
// resolved, classes matched, every problem reported at once.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"
#include "worker/evaluation_spec.h"

namespace promptd::server {

// Defaults: promptd/v1/training.proto. INVALID_ARGUMENT (INVALID_SPEC) with
// all violations, fields named from "spec."; NOT_FOUND (TASK_NOT_FOUND,
// VERSION_NOT_FOUND, ALIAS_NOT_FOUND, DATASET_NOT_FOUND);
// FAILED_PRECONDITION (CLASSES_DIFFER) names the classes that the task has
// not; FAILED_PRECONDITION (ENCODER_NOT_HELD). Classes are the same when CLIP
// reads the same text (datasets/name_rules.h). Reads the registry: call on the
// pool. Thread-safe.
absl::StatusOr<worker::EvaluationSpec> ResolveEvaluation(
    const Backend& backend, const std::string& tenant,
    const v1::EvaluationSpec& asked);

}  // namespace promptd::server

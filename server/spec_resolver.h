// From what a client asks for to a complete training specification: defaults
// filled in, everything checked, every problem reported at once.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "promptd/v1/training.pb.h"
#include "registry/records.h"
#include "server/backend.h"
#include "worker/executor.h"
#include "worker/training_spec.h"

namespace promptd::server {

struct ResolvedSpec {
  worker::TrainingSpec spec;
  std::vector<std::string> class_names;  // that take part, in label order
};

// Defaults: promptd/v1/training.proto. INVALID_ARGUMENT (INVALID_SPEC) with
// all violations, fields named from "spec."; when the only problem is an
// unknown name, NOT_FOUND (DATASET_NOT_FOUND, ENCODER_NOT_FOUND, JOB_NOT_FOUND,
// CHECKPOINT_NOT_FOUND).
// Reads the registry: call on the pool. Thread-safe.
absl::StatusOr<ResolvedSpec> ResolveSpec(const Backend& backend,
                                         const std::string& tenant,
                                         const v1::TrainingSpec& asked);

// CoOp's epochs by shots (1: 50; 2 and 4: 100; 8 and 16: 200); a number in
// between counts as the next of these.
int DefaultEpochs(int shots);

// The encoder called `name` (empty: the default one) among those held.
// NOT_FOUND (ENCODER_NOT_FOUND) lists the names there are.
absl::StatusOr<worker::EncoderDescription> FindEncoder(const Backend& backend,
                                                       const std::string& name);

}  // namespace promptd::server

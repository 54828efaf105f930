// What a specification says about the context that is learned: its length, its
// place, whether classes share it, and what it starts from.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/error.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"
#include "worker/executor.h"
#include "worker/training_spec.h"

namespace promptd::server {

// Fills in those fields of `spec`. `class_names` may be empty when the dataset
// is not known. Problems are added to `violations`. NOT_FOUND (JOB_NOT_FOUND,
// CHECKPOINT_NOT_FOUND), with everything else done; other errors are those of
// the store and the executor.
absl::Status ResolveContext(const Backend& backend, const std::string& tenant,
                            const v1::TrainingSpec& asked,
                            const worker::EncoderDescription& encoder,
                            const std::vector<std::string>& class_names,
                            worker::TrainingSpec* spec,
                            std::vector<FieldViolation>* violations);

}  // namespace promptd::server

// Which fields of a training specification belong to which method.
#pragma once

#include <vector>

#include "common/error.h"
#include "common/method_traits.h"
#include "promptd/v1/training.pb.h"

namespace promptd::server {

// Adds a violation of "spec.<field>" for every field that is set although the
// method has no use for it.
void CheckUnusedFields(const MethodTraits& method,
                       const v1::TrainingSpec& asked,
                       std::vector<FieldViolation>* violations);

}  // namespace promptd::server

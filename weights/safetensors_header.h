// The JSON header of a safetensors file. Internal to weights/.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/safetensors.h"

namespace promptd::weights {

struct SafetensorsHeader {
  std::map<std::string, TensorRecord> tensors;
  std::map<std::string, std::string> metadata;
};

// Reads the header's text; checks everything that needs no data: syntax,
// duplicate and unknown members, names, data types, shapes, sizes against
// offsets. `source` names the file in errors.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json, absl::string_view source,
    const SafetensorsLimits& limits);

// Letters, digits and _ . - / ; 1 to 256 characters.
bool IsTensorName(absl::string_view name);

// Sets `elements` from `shape`: rank at most 8, checked multiply.
// INVALID_ARGUMENT (SAFETENSORS_BAD_SHAPE, SAFETENSORS_EMPTY_TENSOR).
absl::Status CountElements(const std::string& name, absl::string_view source,
                           TensorRecord& record);

// INVALID_ARGUMENT with "source: what".
absl::Status SafetensorsError(absl::string_view source,
                              absl::string_view reason, absl::string_view what);

}  // namespace promptd::weights

// Which tensors a torch file's pickle holds, by name. Internal to weights/.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/pickle_value.h"

namespace promptd::weights {

struct TorchNames {
  // Indexes into PickleDocument::tensors.
  std::map<std::string, int64_t> tensors;
  // Integers at the top level.
  std::map<std::string, int64_t> integers;
  // Beside a "state_dict".
  std::map<std::string, double> numbers;
};

// Of a dict of tensors, or of one under "state_dict"; "module." removed.
// INVALID_ARGUMENT (TORCH_NOT_A_STATE_DICT, TORCH_BAD_NAME,
// TORCH_DUPLICATE_TENSOR, TORCH_TOO_MANY_TENSORS).
absl::StatusOr<TorchNames> StateDictNames(const PickleDocument& document,
                                          absl::string_view source,
                                          int max_tensors);

// Of a tree of TorchScript modules. The same errors.
absl::StatusOr<TorchNames> ModuleNames(const PickleDocument& document,
                                       absl::string_view source,
                                       int max_tensors);

}  // namespace promptd::weights

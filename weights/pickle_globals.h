// The globals that a checkpoint's pickle may name. Internal to weights/.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "weights/pickle_value.h"

namespace promptd::weights {

// What naming the global means here; nothing is ever called.
enum class PickleGlobal {
  kRebuildTensor,     // torch._utils._rebuild_tensor_v2: a tensor
  kRebuildParameter,  // torch._utils._rebuild_parameter: its tensor
  kStorageType,       // torch.FloatStorage and the like
  kOrderedDict,       // an empty dict
  kSize,              // torch.Size: its tuple
  kDevice,            // torch.device: a string
  kDType,             // torch.float16 and the like: stays a name
  kTypedList,         // torch.jit._pickle.build_intlist and the like: its list
  kTypeTag,           // torch.jit._pickle.restore_type_tag: its first argument
  kModuleClass,       // a class of a TorchScript archive
  // What lies beside the weights: numpy's scalars, optimizers and schedules.
  kUnread,
};

// Nothing when the global is not allowed.
std::optional<PickleGlobal> FindPickleGlobal(absl::string_view module,
                                             absl::string_view name);

// The element type of "torch.HalfStorage" and the like.
std::optional<ElementType> StorageElementType(absl::string_view qualified);

}  // namespace promptd::weights

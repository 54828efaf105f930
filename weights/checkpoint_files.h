// A checkpoint's tensors as they are in its file or files, whatever the
// format. Internal to weights/.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "weights/raw_tensor.h"

namespace promptd::weights {

struct CheckpointTensors {
  RawTensors tensors;
  // Integers beside them, e.g. OpenAI's "input_resolution".
  std::map<std::string, int64_t> scalars;
  bool is_torchscript = false;
};

// One file: safetensors, or what torch.save or torch.jit.save wrote, told
// apart by content. INVALID_ARGUMENT (UNKNOWN_CHECKPOINT and the readers'
// reasons); ReadFile's errors.
absl::StatusOr<CheckpointTensors> ReadCheckpointFile(const std::string& path,
                                                     int64_t max_bytes);

// The safetensors files of a "*.safetensors.index.json" in `folder`, all
// together at most `max_bytes`. Each tensor must be in the file that the index
// names and nowhere else. INVALID_ARGUMENT (BAD_SHARD_INDEX and the readers'
// reasons); ReadFile's errors.
absl::StatusOr<CheckpointTensors> ReadCheckpointShards(
    const std::string& folder, const std::string& index, int64_t max_bytes);

}  // namespace promptd::weights

// The device that encoders lie on and compute on.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::worker {

struct ComputeDevice {
  std::string name;          // "cpu" or "cuda:N"
  std::string model;         // of a CUDA device, as its maker calls it
  int64_t memory_bytes = 0;  // of a CUDA device, in all
  // Without that, bfloat16 towers work, and are slower than float32.
  bool fast_bfloat16 = false;
};

// The device a user named: "cpu", "cuda" (the first one), "cuda:N", or "auto",
// which is the first CUDA device where there is one and else the processor.
// INVALID_ARGUMENT (NO_SUCH_DEVICE) says which there are.
absl::StatusOr<ComputeDevice> FindComputeDevice(absl::string_view name);

}  // namespace promptd::worker

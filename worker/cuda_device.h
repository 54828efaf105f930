// CUDA devices by number, as this build of LibTorch sees them.
#pragma once

#include "absl/status/statusor.h"
#include "worker/compute_device.h"

namespace promptd::worker {

// Whether LibTorch was built with CUDA.
bool BuiltWithCuda();

// 0 without a driver or a device.
int CountCudaDevices();

// `index` in [0, CountCudaDevices()). UNAVAILABLE (DEVICE_FAILED). From then on
// float32 products on CUDA devices are of float32 numbers, not rounded to
// TF32's 10 bits.
absl::StatusOr<ComputeDevice> OpenCudaDevice(int index);

}  // namespace promptd::worker

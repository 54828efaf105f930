#include "worker/cuda_device.h"

#ifdef PROMPTD_CUDA
#include <ATen/Context.h>
#include <cuda_runtime_api.h>
#endif

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::worker {

#ifdef PROMPTD_CUDA

bool BuiltWithCuda() { return true; }

int CountCudaDevices() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  cudaGetLastError();  // or the next call would report it again
  return error == cudaSuccess ? devices : 0;
}

absl::StatusOr<ComputeDevice> OpenCudaDevice(int index) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) {
    cudaGetLastError();
    return MakeError(
        absl::StatusCode::kUnavailable, "DEVICE_FAILED",
        absl::StrCat("CUDA device ", index, ": ", cudaGetErrorString(error)));
  }
  for (const at::Float32Op op : {at::Float32Op::MATMUL, at::Float32Op::CONV}) {
    at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, op,
                                            at::Float32Precision::IEEE);
  }
  ComputeDevice device;
  device.name = absl::StrCat("cuda:", index);
  device.model = properties.name;
  device.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  device.fast_bfloat16 = properties.major >= 8;
  return device;
}

#else

bool BuiltWithCuda() { return false; }

int CountCudaDevices() { return 0; }

absl::StatusOr<ComputeDevice> OpenCudaDevice(int index) {
  return MakeError(absl::StatusCode::kUnavailable, "DEVICE_FAILED",
                   absl::StrCat("CUDA device ", index,
                                ": this build of promptd has no CUDA part"));
}

#endif

}  // namespace promptd::worker

#include "worker/compute_device.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clip/one_dnn.h"
#include "common/error.h"
#include "worker/cuda_device.h"

namespace promptd::worker {
namespace {

std::string DevicesThereAre() {
  if (!BuiltWithCuda()) {
    return "this build computes on cpu only; PROMPTD_TORCH=cuda scripts/setup "
           "and a new build take the CUDA part in";
  }
  const int devices = CountCudaDevices();
  if (devices == 0) {
    return "there is cpu; no CUDA device was found: look at nvidia-smi";
  }
  return absl::StrCat("there are cpu and cuda:0 to cuda:", devices - 1);
}

}  // namespace

absl::StatusOr<ComputeDevice> FindComputeDevice(absl::string_view name) {
  const int devices = CountCudaDevices();
  if (name == "cpu" || (name == "auto" && devices == 0)) {
    ComputeDevice device;
    device.name = "cpu";
    device.fast_bfloat16 = clip::ProcessorHasBFloat16Instructions();
    return device;
  }
  absl::string_view number = name;
  int index = 0;
  const bool known = name == "auto" || name == "cuda" ||
                     (absl::ConsumePrefix(&number, "cuda:") &&
                      absl::SimpleAtoi(number, &index));
  if (!known || index < 0 || index >= devices) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "NO_SUCH_DEVICE",
        absl::StrCat("device \"", name, "\": ", DevicesThereAre()));
  }
  return OpenCudaDevice(index);
}

}  // namespace promptd::worker

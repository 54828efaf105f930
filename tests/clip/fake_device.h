// A device that is not the processor, on every machine.
#pragma once

#include <c10/core/Device.h>

namespace promptd::clip {

// Tensors "on" it lie in ordinary memory, and its operators are the
// processor's, but an operator that gets one of its tensors together with one
// of the processor throws, as CUDA's operators do. oneDNN does not know it.
// Registers the device, as torch's "privateuseone", on the first call.
c10::Device FakeDevice();

// How that device is written.
inline constexpr char kFakeDevice[] = "privateuseone:0";

}  // namespace promptd::clip

#include "clip/host_floats.h"

namespace promptd::clip {

FloatTensor ToFloatTensor(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  FloatTensor values;
  values.shape = host.sizes().vec();
  const float* data = host.const_data_ptr<float>();
  values.values.assign(data, data + host.numel());
  return values;
}

}  // namespace promptd::clip

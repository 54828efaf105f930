#include "learners/tensor_convert.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace promptd::learners {

at::Tensor ToTensor(const FloatTensor& values, const at::Tensor& like) {
  at::Tensor host = at::empty(values.shape, at::kFloat);
  std::copy(values.values.begin(), values.values.end(),
            host.mutable_data_ptr<float>());
  return host.to(like.device());
}

at::Tensor ToIndexTensor(const std::vector<int64_t>& indexes,
                         const at::Tensor& like) {
  at::Tensor host =
      at::empty({static_cast<int64_t>(indexes.size())}, at::kLong);
  std::copy(indexes.begin(), indexes.end(), host.mutable_data_ptr<int64_t>());
  return host.to(like.device());
}

at::Tensor ToLabelTensor(const std::vector<int>& labels,
                         const at::Tensor& like) {
  return ToIndexTensor({labels.begin(), labels.end()}, like);
}

}  // namespace promptd::learners

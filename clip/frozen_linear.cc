#include "clip/frozen_linear.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <c10/core/Scalar.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "absl/base/call_once.h"

namespace promptd::clip {
namespace {

constexpr int64_t kSummationBlock = 256;

// oneDNN's blocked linear layer. It has no ATen/ops header; the dispatcher
// knows it wherever the build has oneDNN.
using ReorderSignature = at::Tensor(const at::Tensor&, std::optional<int64_t>);
using LinearSignature = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&,
                                   std::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

using LinearAddSignature = at::Tensor(const at::Tensor&, const at::Tensor&,
                                      const at::Tensor&,
                                      const std::optional<at::Tensor>&,
                                      std::string_view);

std::optional<c10::OperatorHandle> Find(const char* name,
                                        const char* overload = "") {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

bool HasBlockedLinear() {
  static const bool found = Find("mkldnn::_reorder_linear_weight") &&
                            Find("mkldnn::_linear_pointwise") &&
                            Find("mkldnn::_linear_pointwise", "binary");
  return found;
}

at::Tensor Pack(const at::Tensor& weight) {
  static const auto reorder =
      Find("mkldnn::_reorder_linear_weight")->typed<ReorderSignature>();
  return reorder.call(weight, std::nullopt);
}

at::Tensor BlockedLinear(const at::Tensor& x, const at::Tensor& packed,
                         const at::Tensor& bias) {
  static const auto linear =
      Find("mkldnn::_linear_pointwise")->typed<LinearSignature>();
  std::optional<at::Tensor> optional_bias;
  if (bias.defined()) optional_bias = bias;
  return linear.call(x.contiguous(), packed, optional_bias, "none",
                     c10::List<std::optional<at::Scalar>>(), "");
}

// x W^T + sum.
at::Tensor BlockedLinearAdd(const at::Tensor& x, const at::Tensor& packed,
                            const at::Tensor& sum) {
  static const auto linear =
      Find("mkldnn::_linear_pointwise", "binary")->typed<LinearAddSignature>();
  return linear.call(x.contiguous(), sum, packed, std::nullopt, "add");
}

bool CanPack(const at::Tensor& weight) {
  return weight.device().is_cpu() && weight.scalar_type() == at::kFloat &&
         weight.numel() > 0 && HasBlockedLinear();
}

}  // namespace

struct FrozenLinear::Backward {
  absl::once_flag once;
  at::Tensor weight;  // [out, in] until packed
  at::Tensor packed;
};

FrozenLinear::FrozenLinear(const at::Tensor& weight, const at::Tensor& bias)
    : in_(weight.size(1)), out_(weight.size(0)), bias_(bias) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(weight.dim() == 2, "a linear weight has two dimensions");
  const at::Tensor contiguous = weight.contiguous();
  if (!CanPack(contiguous)) {
    weight_ = contiguous;
    return;
  }
  for (int64_t begin = 0; begin < in_; begin += kSummationBlock) {
    forward_packed_.push_back(
        Pack(contiguous.narrow(1, begin, std::min(kSummationBlock, in_ - begin))
                 .contiguous()));
  }
  backward_ = std::make_shared<Backward>();
  backward_->weight = contiguous;
}

at::Tensor FrozenLinear::Forward(const at::Tensor& x) const {
  TORCH_CHECK(x.dim() == 2 && x.size(1) == in_, "expected [rows, ", in_,
              "], got ", x.sizes());
  if (!packed()) return at::linear(x, weight_, bias_);
  if (x.size(0) == 0) return x.new_zeros({0, out_});
  at::Tensor y;
  for (size_t i = 0; i < forward_packed_.size(); ++i) {
    const int64_t begin = static_cast<int64_t>(i) * kSummationBlock;
    const at::Tensor part =
        x.narrow(1, begin, std::min(kSummationBlock, in_ - begin));
    y = i == 0 ? BlockedLinear(part, forward_packed_[i], bias_)
               : BlockedLinearAdd(part, forward_packed_[i], y);
  }
  return y;
}

at::Tensor FrozenLinear::InputGradient(const at::Tensor& dy) const {
  TORCH_CHECK(dy.dim() == 2 && dy.size(1) == out_, "expected [rows, ", out_,
              "], got ", dy.sizes());
  if (!packed()) return at::matmul(dy, weight_);
  if (dy.size(0) == 0) return dy.new_zeros({0, in_});
  absl::call_once(backward_->once, [this] {
    const at::NoGradGuard no_grad;
    backward_->packed = Pack(backward_->weight.t().contiguous());
    backward_->weight.reset();
  });
  return BlockedLinear(dy, backward_->packed, at::Tensor());
}

}  // namespace promptd::clip

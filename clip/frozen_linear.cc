#include "clip/frozen_linear.h"

#include <ATen/core/List.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <c10/core/Scalar.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "absl/base/call_once.h"
#include "clip/one_dnn.h"

namespace promptd::clip {
namespace {

constexpr int64_t kSummationBlock = 256;

// oneDNN's blocked linear layer.
using ReorderLinearSignature = at::Tensor(const at::Tensor&,
                                          std::optional<int64_t>);
using LinearSignature = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&,
                                   std::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

bool HasBlockedLinear() {
  static const bool found = FindOperator("mkldnn::_reorder_linear_weight") &&
                            FindOperator("mkldnn::_linear_pointwise");
  return found;
}

at::Tensor Pack(const at::Tensor& weight) {
  static const auto reorder = FindOperator("mkldnn::_reorder_linear_weight")
                                  ->typed<ReorderLinearSignature>();
  at::Tensor packed = reorder.call(weight, std::nullopt);
  HoldInHugePages(packed);
  return packed;
}

// oneDNN's name of an activation; its gelu is the exact one on request.
struct Fused {
  const char* name;
  const char* algorithm;
};

Fused FusedOf(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return {"relu", ""};
    case Activation::kSilu:
      return {"swish", ""};
    case Activation::kGelu:
      return {"gelu", "none"};
    case Activation::kNone:
      break;
  }
  return {"none", ""};
}

// x and y in the layer's type, weights and bias in oneDNN's.
at::Tensor BlockedLinear(const at::Tensor& x, const at::Tensor& packed,
                         const at::Tensor& bias, Activation activation) {
  static const auto linear =
      FindOperator("mkldnn::_linear_pointwise")->typed<LinearSignature>();
  std::optional<at::Tensor> optional_bias;
  if (bias.defined()) optional_bias = bias;
  const Fused fused = FusedOf(activation);
  return linear
      .call(x.to(packed.scalar_type()).contiguous(), packed, optional_bias,
            fused.name, c10::List<std::optional<at::Scalar>>(), fused.algorithm)
      .to(x.scalar_type());
}

// In place.
at::Tensor Activated(at::Tensor x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu_(x);
    case Activation::kSilu:
      return at::silu_(x);
    case Activation::kGelu:
      return at::gelu_(x);
    case Activation::kNone:
      break;
  }
  return x;
}

// The type of packed weights; none: they are not packed.
std::optional<at::ScalarType> PackedType(const at::Tensor& weight) {
  if (!weight.device().is_cpu() || weight.numel() == 0 || !HasBlockedLinear()) {
    return std::nullopt;
  }
  return OneDnnType(weight.scalar_type());
}

}  // namespace

struct FrozenLinear::Backward {
  absl::once_flag once;
  at::Tensor packed;
};

FrozenLinear::FrozenLinear(const at::Tensor& weight, const at::Tensor& bias,
                           LinearUse use, const at::TensorOptions& options)
    : in_(weight.size(1)), out_(weight.size(0)) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(weight.dim() == 2, "a linear weight has two dimensions");
  if (bias.defined()) {
    bias_ = bias.to(options, /*non_blocking=*/false, /*copy=*/true);
  }
  const at::Tensor contiguous = weight.to(options).contiguous();
  const std::optional<at::ScalarType> type = PackedType(contiguous);
  if (!type) {
    weight_ = contiguous.is_same(weight) ? weight.clone() : contiguous;
    return;
  }
  if (bias_.defined()) bias_ = bias_.to(*type);
  const bool gradient = use == LinearUse::kInputGradient;
  summation_block_ = gradient && contiguous.scalar_type() == at::kFloat
                         ? kSummationBlock
                         : in_;
  for (int64_t begin = 0; begin < in_; begin += summation_block_) {
    const int64_t size = std::min(summation_block_, in_ - begin);
    forward_packed_.push_back(
        Pack(contiguous.narrow(1, begin, size).to(*type).contiguous()));
  }
  if (gradient) backward_ = std::make_shared<Backward>();
}

at::Tensor FrozenLinear::SumOfBlocks(const at::Tensor& x) const {
  at::Tensor sum;
  for (size_t i = 0; i < forward_packed_.size(); ++i) {
    const int64_t begin = static_cast<int64_t>(i) * summation_block_;
    const at::Tensor y = BlockedLinear(
        x.narrow(1, begin, std::min(summation_block_, in_ - begin)),
        forward_packed_[i], i == 0 ? bias_ : at::Tensor(), Activation::kNone);
    sum = i == 0 ? y : sum.add_(y);
  }
  return sum;
}

at::Tensor FrozenLinear::Forward(const at::Tensor& x,
                                 Activation activation) const {
  TORCH_CHECK(x.dim() == 2 && x.size(1) == in_, "expected [rows, ", in_,
              "], got ", x.sizes());
  if (!packed()) return Activated(at::linear(x, weight_, bias_), activation);
  if (x.size(0) == 0) return x.new_zeros({0, out_});
  if (forward_packed_.size() == 1) {
    return BlockedLinear(x, forward_packed_[0], bias_, activation);
  }
  return Activated(SumOfBlocks(x), activation);
}

at::Tensor FrozenLinear::InputGradient(const at::Tensor& dy) const {
  TORCH_CHECK(dy.dim() == 2 && dy.size(1) == out_, "expected [rows, ", out_,
              "], got ", dy.sizes());
  if (!packed()) return at::matmul(dy, weight_);
  TORCH_CHECK(backward_ != nullptr, "this layer was built for the forward");
  if (dy.size(0) == 0) return dy.new_zeros({0, in_});
  absl::call_once(backward_->once, [this] {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> blocks;
    for (const at::Tensor& block : forward_packed_) {
      blocks.push_back(block.to_dense());
    }
    backward_->packed = Pack(at::cat(blocks, 1).t().contiguous());
  });
  return BlockedLinear(dy, backward_->packed, at::Tensor(), Activation::kNone);
}

}  // namespace promptd::clip

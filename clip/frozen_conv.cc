#include "clip/frozen_conv.h"

#include <ATen/core/List.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>
#include <c10/core/Scalar.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string_view>
#include <vector>

#include "clip/one_dnn.h"

namespace promptd::clip {
namespace {

constexpr double kBatchNormEpsilon = 1e-5;
// The batch for which oneDNN chooses the blocked layout.
constexpr int64_t kLayoutBatch = 4;

// oneDNN's blocked convolution.
using Scalars = c10::List<std::optional<at::Scalar>>;
using OptionalText = std::optional<std::string_view>;
using ReorderConvSignature = at::Tensor(const at::Tensor&, at::IntArrayRef,
                                        at::IntArrayRef, at::IntArrayRef,
                                        int64_t, at::OptionalIntArrayRef);
using ConvSignature = at::Tensor(const at::Tensor&, const at::Tensor&,
                                 const std::optional<at::Tensor>&,
                                 at::IntArrayRef, at::IntArrayRef,
                                 at::IntArrayRef, int64_t, std::string_view,
                                 Scalars, OptionalText);

bool HasBlockedConv() {
  static const bool found =
      FindOperator("mkldnn::_reorder_convolution_weight") &&
      FindOperator("mkldnn::_convolution_pointwise");
  return found;
}

// kernel: channels last.
at::Tensor Pack(const at::Tensor& kernel,
                const FrozenConv::Geometry& geometry) {
  static const auto reorder =
      FindOperator("mkldnn::_reorder_convolution_weight")
          ->typed<ReorderConvSignature>();
  const int64_t side = geometry.input_side;
  const std::vector<int64_t> input = {kLayoutBatch, kernel.size(1), side, side};
  at::Tensor packed =
      reorder.call(kernel, {geometry.padding, geometry.padding},
                   {geometry.stride, geometry.stride}, {1, 1}, 1,
                   at::OptionalIntArrayRef(at::IntArrayRef(input)));
  HoldInHugePages(packed);
  return packed;
}

}  // namespace

FrozenConv::FrozenConv(const at::Tensor& kernel, const BatchNorm& norm,
                       Geometry geometry, const at::TensorOptions& options)
    : geometry_(geometry) {
  const at::NoGradGuard no_grad;
  const at::Tensor scale =  // [out]
      norm.weight.to(at::kDouble)
          .div(norm.running_var.to(at::kDouble).add(kBatchNormEpsilon).sqrt());
  const at::Tensor folded =
      kernel.to(at::kDouble).mul(scale.view({-1, 1, 1, 1})).to(at::kFloat);
  const at::Tensor bias = norm.bias.to(at::kDouble)
                              .sub(norm.running_mean.to(at::kDouble).mul(scale))
                              .to(at::kFloat);
  const int64_t output_side =
      (geometry.input_side + 2 * geometry.padding - kernel.size(2)) /
          geometry.stride +
      1;
  multiply_adds_ = kernel.numel() * output_side * output_side;
  if (kernel.size(2) == 1) {
    TORCH_CHECK(geometry.stride == 1 && geometry.padding == 0,
                "a kernel of one pixel neither strides nor pads");
    places_ =
        FrozenLinear(folded.flatten(1), bias, LinearUse::kForwardOnly, options);
    return;
  }
  kernel_ = folded.to(options, /*non_blocking=*/false, /*copy=*/false,
                      at::MemoryFormat::ChannelsLast);
  bias_ = bias.to(options);
  if (!kernel_.device().is_cpu() || !HasBlockedConv()) return;
  const std::optional<at::ScalarType> type = OneDnnType(kernel_.scalar_type());
  if (!type) return;
  kernel_ = Pack(kernel_.to(*type), geometry_);
  bias_ = bias_.to(*type);
  packed_ = true;
}

at::Tensor FrozenConv::RunPlaces(const at::Tensor& x,
                                 Activation activation) const {
  const at::Tensor rows =  // a view when channels come last
      x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
  return places_.Forward(rows, activation)
      .view({x.size(0), x.size(2), x.size(3), places_.out_features()})
      .permute({0, 3, 1, 2});
}

at::Tensor FrozenConv::Run(const at::Tensor& x, Activation activation) const {
  if (!kernel_.defined()) return RunPlaces(x, activation);
  const int64_t stride = geometry_.stride;
  const int64_t padding = geometry_.padding;
  const bool relu = activation == Activation::kRelu;
  if (!packed_) {
    const at::Tensor y =
        at::conv2d(x, kernel_, bias_, {stride, stride}, {padding, padding});
    return relu ? at::relu(y) : y;
  }
  static const auto conv =
      FindOperator("mkldnn::_convolution_pointwise")->typed<ConvSignature>();
  return conv
      .call(x.to(kernel_.scalar_type()), kernel_, bias_, {padding, padding},
            {stride, stride}, {1, 1}, 1, relu ? "relu" : "none", Scalars(), "")
      .to(x.scalar_type());
}

}  // namespace promptd::clip

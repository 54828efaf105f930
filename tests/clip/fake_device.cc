#include "tests/clip/fake_device.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

namespace promptd::clip {
namespace {

constexpr c10::DeviceType kType = c10::DeviceType::PrivateUse1;

class HostMemory : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = c10::alloc_cpu(bytes);
    return {memory, memory, &c10::free_cpu, FakeDevice()};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

HostMemory* Memory() {
  static auto* const memory = new HostMemory();
  return memory;
}

c10::DispatchKeySet Keys() {
  return c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
}

at::Tensor Empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout> /*layout*/,
                 std::optional<at::Device> /*device*/,
                 std::optional<bool> /*pin_memory*/,
                 std::optional<at::MemoryFormat> format) {
  return at::Tensor(at::detail::empty_generic(
      size, Memory(), Keys(), type.value_or(at::kFloat), format));
}

at::Tensor EmptyStrided(at::IntArrayRef size, at::IntArrayRef stride,
                        std::optional<at::ScalarType> type,
                        std::optional<at::Layout> /*layout*/,
                        std::optional<at::Device> /*device*/,
                        std::optional<bool> /*pin_memory*/) {
  return at::Tensor(at::detail::empty_strided_generic(
      size, stride, Memory(), Keys(), type.value_or(at::kFloat)));
}

// The same memory as a tensor of the processor.
at::Tensor OnProcessor(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.device().type() == kType || tensor.is_cpu(),
              "a tensor of ", tensor.device());
  return at::from_blob(tensor.mutable_data_ptr(), tensor.sizes(),
                       tensor.strides(), tensor.options().device(at::kCPU));
}

at::Tensor CopyFrom(const at::Tensor& from, const at::Tensor& to,
                    bool /*non_blocking*/) {
  OnProcessor(to).copy_(OnProcessor(from));
  return to;
}

at::Tensor CopyFromAndResize(const at::Tensor& from, const at::Tensor& to) {
  if (to.numel() == 0) at::native::resize_(to, from.sizes());
  return CopyFrom(from, to, false);
}

at::Tensor Convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias,
                       at::IntArrayRef stride, at::IntArrayRef padding,
                       at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, int64_t groups) {
  std::optional<at::Tensor> host_bias;
  if (bias) host_bias = OnProcessor(*bias);
  return at::convolution(OnProcessor(input), OnProcessor(weight), host_bias,
                         stride, padding, dilation, transposed, output_padding,
                         groups)
      .to(FakeDevice());
}

void RefuseProcessorTensor(const c10::OperatorHandle& op,
                           const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.defined() || tensor.dim() == 0 || !tensor.is_cpu(),
              op.schema().name(),
              " got tensors of this device and of the processor");
}

void Run(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& argument :
       torch::jit::last(*stack, op.schema().arguments().size())) {
    if (argument.isTensor()) RefuseProcessorTensor(op, argument.toTensor());
    if (!argument.isTensorList()) continue;
    for (const at::Tensor& tensor : argument.toTensorVector()) {
      RefuseProcessorTensor(op, tensor);
    }
  }
  at::native::cpu_fallback(op, stack);
}

void Register() {
  static const c10::impl::DeviceGuardImplRegistrar guard(
      kType, new c10::impl::NoOpDeviceGuardImpl<kType>());
  static torch::Library everything(torch::Library::IMPL, "_",
                                   c10::DispatchKey::PrivateUse1, __FILE__,
                                   __LINE__);
  everything.fallback(torch::CppFunction::makeFromBoxedFunction<&Run>());
  static torch::Library aten(torch::Library::IMPL, "aten",
                             c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  aten.impl("empty.memory_format", &Empty);
  aten.impl("empty_strided", &EmptyStrided);
  aten.impl("_copy_from", &CopyFrom);
  aten.impl("_copy_from_and_resize", &CopyFromAndResize);
  aten.impl("resize_", TORCH_FN(at::native::resize_));
  aten.impl("as_strided", &at::native::as_strided_tensorimpl);
  aten.impl("view", TORCH_FN(at::native::view));
  aten.impl("_reshape_alias", &at::native::_reshape_alias);
  aten.impl("convolution_overrideable", &Convolution);
  // Operators whose general implementation is not the processor's.
  for (const char* name : {"native_layer_norm", "native_layer_norm_backward"}) {
    aten.impl(name, torch::CppFunction::makeFromBoxedFunction<&Run>());
  }
}

}  // namespace

c10::Device FakeDevice() {
  static const bool registered = [] {
    Register();
    return true;
  }();
  static_cast<void>(registered);
  return {kType, 0};
}

}  // namespace promptd::clip

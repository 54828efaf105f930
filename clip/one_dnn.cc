#include "clip/one_dnn.h"

#include <ATen/cpu/Utils.h>

#include "common/huge_pages.h"

namespace promptd::clip {

std::optional<c10::OperatorHandle> FindOperator(const char* name,
                                                const char* overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

bool ProcessorHasBFloat16Instructions() {
  static const bool has = [] {
    const auto capabilities = at::cpu::get_cpu_capabilities();
    for (const char* name : {"avx512_bf16", "amx_bf16", "bf16"}) {
      const auto found = capabilities.find(name);
      if (found != capabilities.end() && found->second.isBool() &&
          found->second.toBool()) {
        return true;
      }
    }
    return false;
  }();
  return has;
}

std::optional<at::ScalarType> OneDnnType(at::ScalarType type) {
  if (type == at::kBFloat16 && !ProcessorHasBFloat16Instructions()) {
    return at::kFloat;
  }
  if (type == at::kFloat || type == at::kBFloat16) return type;
  return std::nullopt;
}

void HoldInHugePages(const at::Tensor& packed) {
  constexpr int64_t kLarge = 256 << 10;
  static const auto address = FindOperator("mkldnn::data_ptr");
  static const auto bytes = FindOperator("mkldnn::_nbytes");
  if (!address || !bytes) return;
  using Signature = int64_t(const at::Tensor&);
  const int64_t size = bytes->typed<Signature>().call(packed);
  if (size < kLarge) return;
  PreferHugePages(
      reinterpret_cast<const void*>(address->typed<Signature>().call(packed)),
      static_cast<size_t>(size));
}

}  // namespace promptd::clip

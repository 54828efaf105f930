#include "clip/one_dnn.h"

#include "common/huge_pages.h"

namespace promptd::clip {

std::optional<c10::OperatorHandle> FindOperator(const char* name,
                                                const char* overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

std::optional<at::ScalarType> OneDnnType(at::ScalarType type) {
  static const bool bfloat16 = [] {
    const auto supported = FindOperator("mkldnn::_is_mkldnn_bf16_supported");
    return supported && supported->typed<bool()>().call();
  }();
  if (type == at::kFloat || (type == at::kBFloat16 && bfloat16)) return type;
  if (type == at::kBFloat16) return at::kFloat;
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

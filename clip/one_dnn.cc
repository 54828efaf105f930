#include "clip/one_dnn.h"

namespace promptd::clip {

std::optional<c10::OperatorHandle> FindOperator(const char* name,
                                                const char* overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

bool OneDnnTakes(at::ScalarType type) {
  if (type == at::kFloat) return true;
  static const bool bfloat16 = [] {
    const auto supported = FindOperator("mkldnn::_is_mkldnn_bf16_supported");
    return supported && supported->typed<bool()>().call();
  }();
  return type == at::kBFloat16 && bfloat16;
}

}  // namespace promptd::clip

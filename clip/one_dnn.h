// oneDNN's operators that have no ATen/ops header: the dispatcher knows them
// wherever the build of torch has oneDNN.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/ScalarType.h>

#include <optional>

namespace promptd::clip {

std::optional<c10::OperatorHandle> FindOperator(const char* name,
                                                const char* overload = "");

// Whether oneDNN computes in this type on this processor: bfloat16 needs
// AVX-512.
bool OneDnnTakes(at::ScalarType type);

}  // namespace promptd::clip

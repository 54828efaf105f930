// oneDNN's operators that have no ATen/ops header: the dispatcher knows them
// wherever the build of torch has oneDNN.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/ScalarType.h>

#include <optional>

namespace promptd::clip {

std::optional<c10::OperatorHandle> FindOperator(const char* name,
                                                const char* overload = "");

// Whether oneDNN computes in this type on this processor: bfloat16 needs
// AVX-512.
bool OneDnnTakes(at::ScalarType type);

// Moves weights in oneDNN's own layout into huge pages (common/huge_pages.h),
// where they are large. A tower reads all of its weights for each batch.
void HoldInHugePages(const at::Tensor& packed);

}  // namespace promptd::clip

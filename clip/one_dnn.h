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

bool ProcessorHasBFloat16Instructions();

// The type in which oneDNN computes a frozen layer of `type` on this processor;
// none: it does not. Processors without bfloat16 instructions, for which oneDNN
// has nothing or a third of float32's speed, compute with the same rounded
// numbers in float32, whose products of two bfloat16 are exact, and round the
// sum.
std::optional<at::ScalarType> OneDnnType(at::ScalarType type);

// Moves weights in oneDNN's own layout into huge pages (common/huge_pages.h),
// where they are large. A tower reads all of its weights for each batch.
void HoldInHugePages(const at::Tensor& packed);

}  // namespace promptd::clip

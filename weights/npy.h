// numpy's files of one array (.npy), without numpy and without running any of
// what is in them. No torch.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"

namespace promptd::weights {

// The array's values as float32; float16 is widened exactly, float64 rounded.
// The header is a Python literal: only the one form that numpy writes is
// known, and nothing is evaluated. `source` names the bytes in errors.
// INVALID_ARGUMENT, reason by rule: NPY_NOT_AN_ARRAY, NPY_BAD_HEADER,
// NPY_BAD_DTYPE (float16, float32 and float64, little-endian, are read),
// NPY_FORTRAN_ORDER, NPY_BAD_SHAPE, NPY_SIZE_MISMATCH.
absl::StatusOr<FloatTensor> ReadNpy(absl::string_view bytes,
                                    absl::string_view source);

// A float32 array in C order, as numpy.save writes it.
std::string WriteNpy(const FloatTensor& tensor);

}  // namespace promptd::weights

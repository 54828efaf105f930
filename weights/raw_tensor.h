// Tensors as stored: bytes of one data type, not widened. No torch.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/safetensors.h"

namespace promptd::weights {

// Row-major, little-endian. bytes.size() is the product of shape times the
// element's size. Copies share the bytes, which are never changed.
struct RawTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  absl::string_view bytes;
  std::shared_ptr<const void> owner;  // keeps bytes alive

  int64_t elements() const {
    return static_cast<int64_t>(bytes.size()) / DTypeSize(dtype);
  }
};

using RawTensors = std::map<std::string, RawTensor>;

// A tensor that owns `bytes`.
RawTensor MakeRawTensor(DType dtype, std::vector<int64_t> shape,
                        std::string bytes);

// All tensors of a file; they share its bytes.
RawTensors RawTensorsOf(std::shared_ptr<const Safetensors> file);

// Whether no value is NaN or infinite; integers are finite.
bool AllFinite(const RawTensor& tensor);

// [rows, columns] -> [columns, rows]. The caller has checked the rank.
RawTensor Transposed(const RawTensor& matrix);

// One after the other along the first dimension. The caller has checked that
// the others agree. Of different types they become F32, which is exact.
RawTensor Concatenated(const std::vector<RawTensor>& parts);

// The values as F32, widened exactly. The caller has checked that the type is
// not I64.
RawTensor Widened(const RawTensor& tensor);

// What a safetensors file begins with: the header's length and the header. The
// tensors' bytes follow in `order`.
struct SafetensorsPrefix {
  std::string bytes;
  std::vector<const RawTensor*> order;  // into the map given
};

// Data types are kept. Tensors lie in the order of their element sizes,
// largest first, then of their names, so that each is aligned, as the format's
// other readers want it; the header is padded with spaces to a multiple of
// eight: the same input gives the same bytes on every machine.
// INVALID_ARGUMENT, with the reader's reasons, for what the reader would
// refuse and for bytes that do not fill their shape. `tensors` must outlive
// the result.
absl::StatusOr<SafetensorsPrefix> MakeSafetensorsPrefix(
    const RawTensors& tensors,
    const std::map<std::string, std::string>& metadata = {});

// The whole file.
absl::StatusOr<std::string> WriteRawSafetensors(
    const RawTensors& tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace promptd::weights

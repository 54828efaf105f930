#include "weights/raw_tensor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "weights/half_float.h"

namespace promptd::weights {
namespace {

// Whether an element of `width` bytes has an exponent of all ones.
template <typename Bits>
bool NoneHas(absl::string_view bytes, Bits exponent) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof(bits));
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

RawTensor MakeRawTensor(DType dtype, std::vector<int64_t> shape,
                        std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  RawTensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.bytes = *owner;
  tensor.owner = std::move(owner);
  return tensor;
}

RawTensors RawTensorsOf(std::shared_ptr<const Safetensors> file) {
  RawTensors tensors;
  for (const auto& [name, record] : file->tensors()) {
    RawTensor tensor;
    tensor.dtype = record.dtype;
    tensor.shape = record.shape;
    tensor.bytes = file->Bytes(name).value();
    tensor.owner = file;
    tensors[name] = std::move(tensor);
  }
  return tensors;
}

bool AllFinite(const RawTensor& tensor) {
  switch (tensor.dtype) {
    case DType::kF32:
      return NoneHas<uint32_t>(tensor.bytes, 0x7f800000u);
    case DType::kF16:
      return NoneHas<uint16_t>(tensor.bytes, 0x7c00u);
    case DType::kBF16:
      return NoneHas<uint16_t>(tensor.bytes, 0x7f80u);
    case DType::kI64:
      return true;
  }
  return true;
}

RawTensor Transposed(const RawTensor& matrix) {
  const size_t rows = static_cast<size_t>(matrix.shape[0]);
  const size_t columns = static_cast<size_t>(matrix.shape[1]);
  const size_t width = static_cast<size_t>(DTypeSize(matrix.dtype));
  std::string bytes(matrix.bytes.size(), '\0');
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      std::memcpy(bytes.data() + (column * rows + row) * width,
                  matrix.bytes.data() + (row * columns + column) * width,
                  width);
    }
  }
  return MakeRawTensor(matrix.dtype, {matrix.shape[1], matrix.shape[0]},
                       std::move(bytes));
}

RawTensor Concatenated(const std::vector<RawTensor>& parts) {
  const bool same = std::all_of(
      parts.begin(), parts.end(),
      [&](const RawTensor& part) { return part.dtype == parts[0].dtype; });
  std::vector<int64_t> shape = parts[0].shape;
  shape[0] = 0;
  std::string bytes;
  for (const RawTensor& part : parts) {
    const RawTensor stored = same ? part : Widened(part);
    bytes.append(stored.bytes.data(), stored.bytes.size());
    shape[0] += part.shape[0];
  }
  return MakeRawTensor(same ? parts[0].dtype : DType::kF32, std::move(shape),
                       std::move(bytes));
}

RawTensor Widened(const RawTensor& tensor) {
  if (tensor.dtype == DType::kF32) return tensor;
  std::string bytes(static_cast<size_t>(tensor.elements()) * sizeof(float),
                    '\0');
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, tensor.bytes.data() + i * 2, sizeof(bits));
    const float value =
        tensor.dtype == DType::kF16 ? HalfToFloat(bits) : BFloat16ToFloat(bits);
    std::memcpy(bytes.data() + i * 4, &value, sizeof(value));
  }
  return MakeRawTensor(DType::kF32, tensor.shape, std::move(bytes));
}

}  // namespace promptd::weights

#include "weights/torch_tensor.h"

#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/element_count.h"

namespace promptd::weights {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;

std::optional<DType> DTypeOf(ElementType type) {
  switch (type) {
    case ElementType::kF32:
      return DType::kF32;
    case ElementType::kF16:
      return DType::kF16;
    case ElementType::kBF16:
      return DType::kBF16;
    case ElementType::kI64:
      return DType::kI64;
    default:
      return std::nullopt;
  }
}

// The index after the last element, or nothing when it is too large.
std::optional<int64_t> EndOf(const PickleTensor& tensor) {
  int64_t last = tensor.offset;
  if (last > kMaxElements) return std::nullopt;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const int64_t steps = tensor.shape[i] - 1;
    if (steps > 0 && tensor.strides[i] > (kMaxElements - last) / steps) {
      return std::nullopt;
    }
    if (steps > 0) last += steps * tensor.strides[i];
  }
  return last + 1;
}

bool IsContiguous(const PickleTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Row-major copy; everything lies inside `storage`.
std::string Gather(absl::string_view storage, const PickleTensor& tensor,
                   int64_t count, size_t width) {
  std::string bytes(static_cast<size_t>(count) * width, '\0');
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t from = tensor.offset;
  for (int64_t to = 0; to < count; ++to) {
    std::memcpy(bytes.data() + static_cast<size_t>(to) * width,
                storage.data() + static_cast<size_t>(from) * width, width);
    for (size_t axis = index.size(); axis-- > 0;) {
      from += tensor.strides[axis];
      if (++index[axis] < tensor.shape[axis]) break;
      from -= tensor.strides[axis] * tensor.shape[axis];
      index[axis] = 0;
    }
  }
  return bytes;
}

}  // namespace

TorchStorages::TorchStorages(const ZipArchive& archive)
    : archive_(archive),
      bytes_left_(2 * static_cast<int64_t>(archive.bytes()->size())) {}

absl::Status TorchStorages::Error(absl::string_view reason,
                                  const std::string& name,
                                  absl::string_view what) const {
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason,
      absl::StrCat(archive_.source(), ": tensor \"", name, "\": ", what));
}

absl::StatusOr<absl::string_view> TorchStorages::Storage(
    const std::string& name, const PickleStorage& storage) {
  const std::string entry =
      absl::StrCat(archive_.root(), "/data/", storage.key);
  auto found = read_.find(storage.key);
  if (found == read_.end()) {
    absl::StatusOr<absl::string_view> content = archive_.Read(entry);
    if (absl::IsNotFound(content.status())) {
      return Error("TORCH_BAD_STORAGE", name,
                   absl::StrCat("the archive has no entry ", entry));
    }
    if (!content.ok()) return content.status();
    found = read_.emplace(storage.key, *content).first;
  }
  const int64_t size = static_cast<int64_t>(found->second.size());
  if (storage.elements > kMaxElements ||
      storage.elements * ElementSize(storage.type) != size) {
    return Error(
        "TORCH_BAD_STORAGE", name,
        absl::StrCat(entry, " at offset ",
                     archive_.entries().at(entry).begin_bytes, " has ", size,
                     " bytes, the pickle says ", storage.elements, " of ",
                     ElementName(storage.type)));
  }
  return found->second;
}

absl::StatusOr<RawTensor> TorchStorages::Make(const std::string& name,
                                              const PickleTensor& tensor) {
  const std::optional<DType> dtype = DTypeOf(tensor.storage.type);
  if (!dtype) {
    return Error("TORCH_BAD_DTYPE", name,
                 absl::StrCat("is of ", ElementName(tensor.storage.type),
                              ": save it as float32, float16 or bfloat16"));
  }
  ASSIGN_OR_RETURN(const absl::string_view storage,
                   Storage(name, tensor.storage));
  const std::optional<int64_t> count = ElementCount(tensor.shape, kMaxElements);
  if (!count) {
    return Error("TORCH_BAD_TENSOR", name,
                 absl::StrCat("its shape [", absl::StrJoin(tensor.shape, ", "),
                              "] is empty or too large"));
  }
  const std::optional<int64_t> end = EndOf(tensor);
  if (!end || *end > tensor.storage.elements) {
    return Error(
        "TORCH_BAD_TENSOR", name,
        absl::StrCat("shape [", absl::StrJoin(tensor.shape, ", "),
                     "], strides [", absl::StrJoin(tensor.strides, ", "),
                     "] and offset ", tensor.offset, " leave its storage of ",
                     tensor.storage.elements));
  }
  const size_t width = static_cast<size_t>(DTypeSize(*dtype));
  const int64_t bytes = *count * static_cast<int64_t>(width);
  if (bytes > bytes_left_) {
    return Error("TORCH_TOO_LARGE", name,
                 "the tensors together repeat the file's bytes more than "
                 "twice");
  }
  bytes_left_ -= bytes;
  if (!IsContiguous(tensor)) {
    return MakeRawTensor(*dtype, tensor.shape,
                         Gather(storage, tensor, *count, width));
  }
  RawTensor view;
  view.dtype = *dtype;
  view.shape = tensor.shape;
  view.bytes = storage.substr(static_cast<size_t>(tensor.offset) * width,
                              static_cast<size_t>(bytes));
  view.owner = archive_.bytes();
  return view;
}

}  // namespace promptd::weights

#include "clip/tensor_reader.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"

namespace promptd::clip {
namespace {

constexpr size_t kMaxListed = 20;
constexpr int64_t kFloatsPerTask = 1 << 16;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// Of a contiguous float32 tensor.
bool AllFinite(const at::Tensor& tensor) {
  const float* const values = tensor.const_data_ptr<float>();
  std::atomic<bool> finite = true;
  at::parallel_for(
      0, tensor.numel(), kFloatsPerTask, [&](int64_t begin, int64_t end) {
        if (!weights::AllFinite(absl::MakeConstSpan(
                values + begin, static_cast<size_t>(end - begin)))) {
          finite = false;
        }
      });
  return finite;
}

}  // namespace

at::Tensor TensorReader::Read(const std::string& name,
                              const std::vector<int64_t>& shape) {
  seen_.insert(name);
  const auto record = file_.tensors().find(name);
  if (record == file_.tensors().end()) {
    problems_.push_back(absl::StrCat(name, " is missing"));
    return {};
  }
  if (record->second.shape != shape) {
    problems_.push_back(absl::StrCat(name, " has shape ",
                                     ShapeText(record->second.shape),
                                     " instead of ", ShapeText(shape)));
    return {};
  }
  if (record->second.dtype == weights::DType::kI64) {
    problems_.push_back(absl::StrCat(name, " holds integers, not floats"));
    return {};
  }
  const at::Tensor tensor = Floats(name, record->second);
  if (!AllFinite(tensor)) {
    problems_.push_back(absl::StrCat(name, " holds NaN or infinity"));
    return {};
  }
  parameters_ += record->second.elements;
  return tensor;
}

at::Tensor TensorReader::Floats(const std::string& name,
                                const weights::TensorRecord& record) const {
  const absl::string_view bytes = file_.Bytes(name).value();
  at::ScalarType type = at::kFloat;
  if (record.dtype == weights::DType::kF16) type = at::kHalf;
  if (record.dtype == weights::DType::kBF16) type = at::kBFloat16;
  const at::TensorOptions options(type);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(type) != 0) {
    const at::Tensor copy = at::empty(record.shape, options);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return copy.to(at::kFloat);
  }
  const at::Tensor view = at::from_blob(
      const_cast<char*>(bytes.data()), record.shape,
      [owner = file_.owner()](void*) {}, options);
  return view.to(at::kFloat);  // itself when it is float32
}

void TensorReader::ExpectNothingElse() {
  for (const auto& [name, record] : file_.tensors()) {
    if (seen_.count(name) == 0 &&
        !absl::EndsWith(name, ".num_batches_tracked")) {
      problems_.push_back(
          absl::StrCat(name, " does not belong to this architecture"));
    }
  }
}

absl::Status TensorReader::status() const {
  if (ok()) return absl::OkStatus();
  const size_t listed = std::min(problems_.size(), kMaxListed);
  std::string text =
      absl::StrJoin(problems_.begin(), problems_.begin() + listed, "; ");
  if (listed < problems_.size()) {
    absl::StrAppend(&text, "; and ", problems_.size() - listed, " more");
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_WEIGHTS",
                   absl::StrCat(file_.source(), ": ", text));
}

}  // namespace promptd::clip

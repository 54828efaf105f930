#include "clip/tensor_reader.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"

namespace promptd::clip {
namespace {

constexpr size_t kMaxListed = 20;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
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
  absl::StatusOr<FloatTensor> read = file_.Floats(name);
  if (!read.ok()) {
    problems_.push_back(std::string(read.status().message()));
    return {};
  }
  if (!weights::AllFinite(*read)) {
    problems_.push_back(absl::StrCat(name, " holds NaN or infinity"));
    return {};
  }
  parameters_ += record->second.elements;
  return at::from_blob(read->values.data(), shape, at::kFloat).clone();
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

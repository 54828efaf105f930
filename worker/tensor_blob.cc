#include "worker/tensor_blob.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/safetensors.h"

namespace promptd::worker {
namespace {

absl::Status Corrupt(const std::string& name, absl::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                   absl::StrCat("stored tensor ", name, ": ", why));
}

}  // namespace

absl::StatusOr<std::string> SerializeTensor(
    const std::string& name, const FloatTensor& tensor,
    const std::map<std::string, std::string>& metadata) {
  return weights::WriteSafetensors({{name, tensor}}, metadata);
}

absl::StatusOr<FloatTensor> ParseTensor(absl::string_view bytes,
                                        const std::string& name) {
  const absl::StatusOr<weights::Safetensors> file =
      weights::Safetensors::FromBytes(std::string(bytes), name);
  if (!file.ok()) return Corrupt(name, file.status().message());
  if (file->tensors().size() != 1) {
    return Corrupt(name, "expected exactly one tensor");
  }
  absl::StatusOr<FloatTensor> tensor = file->Floats(name);
  if (!tensor.ok()) return Corrupt(name, tensor.status().message());
  if (!weights::AllFinite(*tensor)) return Corrupt(name, "not finite");
  return tensor;
}

}  // namespace promptd::worker

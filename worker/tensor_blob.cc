#include "worker/tensor_blob.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "weights/raw_tensor.h"
#include "weights/safetensors.h"

namespace promptd::worker {
namespace {

absl::Status Corrupt(const std::string& name, absl::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                   absl::StrCat("stored tensor ", name, ": ", why));
}

absl::Status BadContext(absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_CONTEXT",
                   absl::StrCat("the context ", why));
}

}  // namespace

absl::StatusOr<std::string> SerializeTensor(
    const std::string& name, const FloatTensor& tensor,
    const std::map<std::string, std::string>& metadata) {
  return weights::WriteSafetensors({{name, tensor}}, metadata);
}

absl::StatusOr<std::string> SerializeTensors(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  return weights::WriteSafetensors(tensors, metadata);
}

absl::StatusOr<NamedTensors> ParseTensors(absl::string_view bytes,
                                          const std::string& what) {
  const absl::StatusOr<weights::Safetensors> file =
      weights::Safetensors::FromBytes(std::string(bytes), what);
  if (!file.ok()) return Corrupt(what, file.status().message());
  NamedTensors parsed;
  parsed.metadata = file->metadata();
  for (const auto& [name, record] : file->tensors()) {
    absl::StatusOr<FloatTensor> tensor = file->Floats(name);
    if (!tensor.ok()) return Corrupt(name, tensor.status().message());
    if (!weights::AllFinite(*tensor)) return Corrupt(name, "not finite");
    parsed.tensors[name] = *std::move(tensor);
  }
  return parsed;
}

absl::StatusOr<FloatTensor> ParseTensor(absl::string_view bytes,
                                        const std::string& name) {
  ASSIGN_OR_RETURN(NamedTensors parsed, ParseTensors(bytes, name));
  const auto found = parsed.tensors.find(name);
  if (found == parsed.tensors.end() || parsed.tensors.size() != 1) {
    return Corrupt(name, "expected exactly one tensor of this name");
  }
  return std::move(found->second);
}

absl::StatusOr<std::vector<int64_t>> ContextShape(absl::string_view bytes) {
  const absl::StatusOr<weights::Safetensors> file =
      weights::Safetensors::FromBytes(std::string(bytes), "context");
  if (!file.ok()) {
    return BadContext(
        absl::StrCat("is no safetensors file: ", file.status().message()));
  }
  const auto found = file->tensors().find("ctx");
  if (found == file->tensors().end() || file->tensors().size() != 1) {
    return BadContext("must be a file of one tensor, \"ctx\"");
  }
  const weights::TensorRecord& record = found->second;
  if (record.dtype != weights::DType::kF32) {
    return BadContext(absl::StrCat(
        "is of type ", weights::DTypeName(record.dtype), ": send it as F32"));
  }
  if (record.shape.size() != 2 && record.shape.size() != 3) {
    return BadContext(absl::StrCat("has the shape [",
                                   absl::StrJoin(record.shape, ", "),
                                   "]: wanted is [tokens, width], or [classes, "
                                   "tokens, width] of a class-specific one"));
  }
  weights::RawTensor values;
  values.shape = record.shape;
  ASSIGN_OR_RETURN(values.bytes, file->Bytes("ctx"));
  if (!weights::AllFinite(values)) {
    return BadContext("has numbers that are not finite");
  }
  return record.shape;
}

absl::StatusOr<FloatTensor> ContextOfCheckpoint(absl::string_view bytes) {
  absl::StatusOr<learners::CheckpointContent> content =
      learners::ReadCheckpoint(bytes);
  if (!content.ok()) return Corrupt("checkpoint", content.status().message());
  FloatTensor context = std::move(
      content->best.epoch > 0 ? content->best_parameter : content->parameter);
  if (context.shape.size() != 2 && context.shape.size() != 3) {
    return Corrupt("checkpoint", "what it learns is no context");
  }
  return context;
}

}  // namespace promptd::worker

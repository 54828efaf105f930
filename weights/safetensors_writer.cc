#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "weights/raw_tensor.h"
#include "weights/safetensors.h"
#include "weights/safetensors_header.h"

namespace promptd::weights {
namespace {

constexpr char kSource[] = "safetensors to write";

using NamedTensor = const RawTensors::value_type*;

absl::Status CheckTensor(const std::string& name, const RawTensor& tensor) {
  if (!IsTensorName(name) || name == "__metadata__") {
    return SafetensorsError(
        kSource, "SAFETENSORS_BAD_NAME",
        absl::StrCat("\"", name, "\" is not a tensor name"));
  }
  TensorRecord record;
  record.shape = tensor.shape;
  RETURN_IF_ERROR(CountElements(name, kSource, record));
  const int64_t needed = record.elements * DTypeSize(tensor.dtype);
  if (needed != static_cast<int64_t>(tensor.bytes.size())) {
    return SafetensorsError(
        kSource, "SAFETENSORS_SIZE_MISMATCH",
        absl::StrCat("tensor \"", name, "\" has ", tensor.bytes.size(),
                     " bytes, its shape needs ", needed));
  }
  return absl::OkStatus();
}

// nlohmann::json keeps members in the order of their names.
absl::StatusOr<std::string> HeaderOf(
    const std::vector<NamedTensor>& order,
    const std::map<std::string, std::string>& metadata) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const NamedTensor named : order) {
    const auto& [name, tensor] = *named;
    RETURN_IF_ERROR(CheckTensor(name, tensor));
    const int64_t end = offset + static_cast<int64_t>(tensor.bytes.size());
    header[name] = {{"dtype", std::string(DTypeName(tensor.dtype))},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    return SafetensorsError(kSource, "SAFETENSORS_BAD_METADATA",
                            "the metadata is not valid UTF-8");
  }
}

}  // namespace

absl::StatusOr<SafetensorsPrefix> MakeSafetensorsPrefix(
    const RawTensors& tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> order;
  for (const auto& named : tensors) order.push_back(&named);
  std::stable_sort(
      order.begin(), order.end(), [](NamedTensor a, NamedTensor b) {
        return DTypeSize(a->second.dtype) > DTypeSize(b->second.dtype);
      });
  ASSIGN_OR_RETURN(const std::string header, HeaderOf(order, metadata));
  // The reader's own rules decide what may be written.
  RETURN_IF_ERROR(ParseSafetensorsHeader(header, kSource, {}).status());
  SafetensorsPrefix prefix;
  for (int i = 0; i < 8; ++i) {
    prefix.bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  }
  prefix.bytes += header;
  for (const NamedTensor named : order) prefix.order.push_back(&named->second);
  return prefix;
}

absl::StatusOr<std::string> WriteRawSafetensors(
    const RawTensors& tensors,
    const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(SafetensorsPrefix prefix,
                   MakeSafetensorsPrefix(tensors, metadata));
  std::string bytes = std::move(prefix.bytes);
  for (const RawTensor* tensor : prefix.order) {
    bytes.append(tensor->bytes.data(), tensor->bytes.size());
  }
  return bytes;
}

absl::StatusOr<std::string> WriteSafetensors(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  RawTensors views;
  for (const auto& [name, tensor] : tensors) {
    RawTensor view;
    view.shape = tensor.shape;
    view.bytes =
        absl::string_view(reinterpret_cast<const char*>(tensor.values.data()),
                          tensor.values.size() * sizeof(float));
    views[name] = std::move(view);
  }
  return WriteRawSafetensors(views, metadata);
}

}  // namespace promptd::weights

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "weights/safetensors.h"
#include "weights/safetensors_header.h"

namespace promptd::weights {
namespace {

constexpr char kSource[] = "safetensors to write";

// nlohmann::json keeps members in the order of their names.
absl::StatusOr<std::string> HeaderOf(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!IsTensorName(name) || name == "__metadata__") {
      return SafetensorsError(
          kSource, "SAFETENSORS_BAD_NAME",
          absl::StrCat("\"", name, "\" is not a tensor name"));
    }
    TensorRecord record;
    record.shape = tensor.shape;
    RETURN_IF_ERROR(CountElements(name, kSource, record));
    if (record.elements != static_cast<int64_t>(tensor.values.size())) {
      return SafetensorsError(
          kSource, "SAFETENSORS_SIZE_MISMATCH",
          absl::StrCat("tensor \"", name, "\" has ", tensor.values.size(),
                       " values, its shape says ", record.elements));
    }
    const int64_t end = offset + record.elements * 4;
    header[name] = {{"dtype", "F32"},
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

absl::StatusOr<std::string> WriteSafetensors(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(const std::string header, HeaderOf(tensors, metadata));
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  }
  bytes += header;
  // The reader's own rules decide what may be written.
  SafetensorsLimits limits;
  RETURN_IF_ERROR(ParseSafetensorsHeader(header, kSource, limits).status());
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = bytes.size();
    bytes.resize(begin + tensor.values.size() * sizeof(float));
    std::memcpy(bytes.data() + begin, tensor.values.data(),
                tensor.values.size() * sizeof(float));
  }
  return bytes;
}

}  // namespace promptd::weights

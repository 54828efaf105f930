#include "weights/safetensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/half_float.h"
#include "weights/safetensors_header.h"

namespace promptd::weights {
namespace {

constexpr int64_t kLengthBytes = 8;

int64_t LittleEndian64(absl::string_view bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  // A length above 2^63 becomes negative; the caller refuses both.
  return static_cast<int64_t>(value);
}

// The header's text: '{' first, '}' last but for padding with spaces.
absl::StatusOr<absl::string_view> HeaderText(absl::string_view bytes,
                                             absl::string_view source,
                                             const SafetensorsLimits& limits) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  if (size > limits.max_file_bytes) {
    return SafetensorsError(
        source, "SAFETENSORS_FILE_TOO_LARGE",
        absl::StrCat(size, " bytes; the limit is ", limits.max_file_bytes));
  }
  if (size < kLengthBytes) {
    return SafetensorsError(source, "SAFETENSORS_TRUNCATED",
                            "shorter than the 8 bytes of a header length");
  }
  const int64_t length = LittleEndian64(bytes);
  if (length < 0 || length > limits.max_header_bytes) {
    return SafetensorsError(source, "SAFETENSORS_HEADER_TOO_LARGE",
                            absl::StrCat("the header's length is above ",
                                         limits.max_header_bytes, " bytes"));
  }
  if (length > size - kLengthBytes) {
    return SafetensorsError(
        source, "SAFETENSORS_TRUNCATED",
        absl::StrCat("the header needs ", length, " bytes, the file has ",
                     size - kLengthBytes, " after its length"));
  }
  absl::string_view text = bytes.substr(kLengthBytes, length);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.empty() || text.front() != '{' || text.back() != '}') {
    return SafetensorsError(source, "SAFETENSORS_BAD_HEADER",
                            "the header is not one JSON object padded with "
                            "spaces");
  }
  return text;
}

// Tensors in order of their offsets must tile the data exactly.
absl::Status CheckTiling(const std::map<std::string, TensorRecord>& tensors,
                         int64_t data_bytes, absl::string_view source) {
  std::vector<std::pair<const TensorRecord*, const std::string*>> order;
  order.reserve(tensors.size());
  for (const auto& [name, record] : tensors) order.push_back({&record, &name});
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first->begin_bytes < b.first->begin_bytes;
  });
  int64_t end = 0;
  for (const auto& [record, name] : order) {
    if (record->begin_bytes != end) {
      return SafetensorsError(
          source,
          record->begin_bytes < end ? "SAFETENSORS_OVERLAP"
                                    : "SAFETENSORS_HOLE",
          absl::StrCat("tensor \"", *name, "\" begins at offset ",
                       record->begin_bytes, ", the one before it ends at ",
                       end));
    }
    end = record->end_bytes;
    if (end > data_bytes) {
      return SafetensorsError(
          source, "SAFETENSORS_TRUNCATED",
          absl::StrCat("tensor \"", *name, "\" ends at offset ", end,
                       ", the data has ", data_bytes, " bytes"));
    }
  }
  if (end != data_bytes) {
    return SafetensorsError(
        source, "SAFETENSORS_TRAILING_BYTES",
        absl::StrCat(data_bytes - end, " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

absl::Status NoTensor(absl::string_view source, const std::string& name) {
  return MakeError(absl::StatusCode::kNotFound, "TENSOR_NOT_FOUND",
                   absl::StrCat(source, ": no tensor \"", name, "\""));
}

void WidenInto(DType dtype, const char* bytes, std::vector<float>& values) {
  if (dtype == DType::kF32) {
    std::memcpy(values.data(), bytes, values.size() * sizeof(float));
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + i * sizeof(bits), sizeof(bits));
    values[i] =
        dtype == DType::kF16 ? HalfToFloat(bits) : BFloat16ToFloat(bits);
  }
}

}  // namespace

int64_t DTypeSize(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kI64:
      return 8;
  }
  return 0;
}

absl::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kI64:
      return "I64";
  }
  return "";
}

absl::StatusOr<Safetensors> Safetensors::FromOwned(
    std::shared_ptr<const void> owner, absl::string_view bytes,
    absl::string_view source, const SafetensorsLimits& limits) {
  ASSIGN_OR_RETURN(const absl::string_view text,
                   HeaderText(bytes, source, limits));
  ASSIGN_OR_RETURN(SafetensorsHeader header,
                   ParseSafetensorsHeader(text, source, limits));
  Safetensors file;
  file.source_ = std::string(source);
  file.data_begin_ = kLengthBytes + LittleEndian64(bytes);
  RETURN_IF_ERROR(CheckTiling(
      header.tensors, static_cast<int64_t>(bytes.size()) - file.data_begin_,
      source));
  file.tensors_ = std::move(header.tensors);
  file.metadata_ = std::move(header.metadata);
  file.owner_ = std::move(owner);
  file.bytes_ = bytes;
  return file;
}

absl::StatusOr<Safetensors> Safetensors::FromBytes(
    std::string bytes, absl::string_view source,
    const SafetensorsLimits& limits) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return FromOwned(owner, *owner, source, limits);
}

absl::StatusOr<Safetensors> Safetensors::FromMapped(
    std::shared_ptr<const MappedFile> mapped, absl::string_view source,
    const SafetensorsLimits& limits) {
  const absl::string_view bytes = mapped->bytes();
  return FromOwned(std::move(mapped), bytes, source, limits);
}

absl::StatusOr<Safetensors> Safetensors::FromFile(
    const std::string& path, const SafetensorsLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, limits.max_file_bytes));
  return FromBytes(std::move(bytes), path, limits);
}

absl::StatusOr<absl::string_view> Safetensors::Bytes(
    const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return NoTensor(source_, name);
  const TensorRecord& record = found->second;
  return bytes_.substr(data_begin_ + record.begin_bytes,
                       record.end_bytes - record.begin_bytes);
}

absl::StatusOr<FloatTensor> Safetensors::Floats(const std::string& name) const {
  ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(name));
  const TensorRecord& record = tensors_.at(name);
  if (record.dtype == DType::kI64) {
    return SafetensorsError(
        source_, "SAFETENSORS_BAD_DTYPE",
        absl::StrCat("tensor \"", name, "\" holds integers, not floats"));
  }
  FloatTensor tensor;
  tensor.shape = record.shape;
  tensor.values.resize(static_cast<size_t>(record.elements));
  WidenInto(record.dtype, bytes.data(), tensor.values);
  return tensor;
}

// Zero times a number is zero, unless it is infinite or none. Eight sums side
// by side: the compiler makes vector instructions of them.
bool AllFinite(absl::Span<const float> values) {
  constexpr size_t kLanes = 8;
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += values[i + lane] * 0.0f;
    }
  }
  for (; i < values.size(); ++i) sums[0] += values[i] * 0.0f;
  return std::accumulate(sums, sums + kLanes, 0.0f) == 0.0f;
}

}  // namespace promptd::weights

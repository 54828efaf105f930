// A strict reader and a deterministic writer of safetensors files. No torch.
//
//   ASSIGN_OR_RETURN(const Safetensors file,
//                    Safetensors::FromFile(path, {.max_file_bytes = 1 << 30}));
//   ASSIGN_OR_RETURN(const FloatTensor bias, file.Floats("ln_final.bias"));
//
// Stricter than the format's reference: duplicate names, unknown members,
// holes, overlaps, trailing bytes, empty tensors and data types outside
// F32, F16, BF16 and I64 are refused, so that every byte of an accepted file
// belongs to the header or to exactly one tensor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/float_tensor.h"
#include "common/mapped_file.h"

namespace promptd::weights {

enum class DType { kF32, kF16, kBF16, kI64 };

// Bytes of one element.
int64_t DTypeSize(DType dtype);
absl::string_view DTypeName(DType dtype);

// Where a tensor lies. Offsets count from the end of the header.
struct TensorRecord {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // no zero dimension; empty for a scalar
  int64_t elements = 1;        // product of shape
  int64_t begin_bytes = 0;
  int64_t end_bytes = 0;
};

struct SafetensorsLimits {
  int64_t max_file_bytes = int64_t{1} << 32;
  int64_t max_header_bytes = int64_t{2} << 20;
  int max_tensors = 4096;
  int64_t max_metadata_bytes = 16 << 10;
};

// One accepted file, in memory. Immutable, hence thread-safe; copies share the
// bytes.
class Safetensors {
 public:
  // `source` names the bytes in errors, e.g. a file name.
  // INVALID_ARGUMENT, reason by rule: SAFETENSORS_TRUNCATED,
  // SAFETENSORS_FILE_TOO_LARGE, SAFETENSORS_HEADER_TOO_LARGE,
  // SAFETENSORS_BAD_HEADER, SAFETENSORS_DUPLICATE_KEY, SAFETENSORS_BAD_NAME,
  // SAFETENSORS_BAD_METADATA, SAFETENSORS_TOO_MANY_TENSORS,
  // SAFETENSORS_BAD_DTYPE, SAFETENSORS_BAD_SHAPE, SAFETENSORS_EMPTY_TENSOR,
  // SAFETENSORS_BAD_OFFSETS, SAFETENSORS_SIZE_MISMATCH, SAFETENSORS_OVERLAP,
  // SAFETENSORS_HOLE, SAFETENSORS_TRAILING_BYTES.
  static absl::StatusOr<Safetensors> FromBytes(
      std::string bytes, absl::string_view source,
      const SafetensorsLimits& limits = {});
  // The same, and ReadFile's errors.
  static absl::StatusOr<Safetensors> FromFile(
      const std::string& path, const SafetensorsLimits& limits = {});
  // The same, of a file that nobody changes meanwhile: nothing is copied.
  static absl::StatusOr<Safetensors> FromMapped(
      std::shared_ptr<const MappedFile> mapped, absl::string_view source,
      const SafetensorsLimits& limits = {});

  const std::map<std::string, TensorRecord>& tensors() const {
    return tensors_;
  }
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }

  // A tensor's values as float32; F16 and BF16 are widened exactly.
  // NOT_FOUND (TENSOR_NOT_FOUND); INVALID_ARGUMENT (SAFETENSORS_BAD_DTYPE)
  // for I64.
  absl::StatusOr<FloatTensor> Floats(const std::string& name) const;
  // A tensor's bytes, valid as long as this object.
  // NOT_FOUND (TENSOR_NOT_FOUND).
  absl::StatusOr<absl::string_view> Bytes(const std::string& name) const;

  const std::string& source() const { return source_; }
  // Keeps what Bytes gives valid beyond this object.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  Safetensors() = default;
  static absl::StatusOr<Safetensors> FromOwned(
      std::shared_ptr<const void> owner, absl::string_view bytes,
      absl::string_view source, const SafetensorsLimits& limits);

  std::string source_;
  std::shared_ptr<const void> owner_;
  absl::string_view bytes_;
  int64_t data_begin_ = 0;
  std::map<std::string, TensorRecord> tensors_;
  std::map<std::string, std::string> metadata_;
};

// F32 tensors in the order of their names, header padded with spaces to a
// multiple of eight: the same input gives the same bytes on every machine.
// INVALID_ARGUMENT, with the reader's reasons, for what the reader would
// refuse (a name, an empty tensor, metadata) and for a shape that does not
// fit its values.
absl::StatusOr<std::string> WriteSafetensors(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata = {});

// Whether no value is NaN or infinite.
bool AllFinite(absl::Span<const float> values);
inline bool AllFinite(const FloatTensor& tensor) {
  return AllFinite(absl::MakeConstSpan(tensor.values));
}

}  // namespace promptd::weights

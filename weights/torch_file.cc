#include "weights/torch_file.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/little_endian.h"
#include "weights/torch_names.h"
#include "weights/torch_tensor.h"

namespace promptd::weights {
namespace {

absl::Status TorchError(absl::string_view reason, absl::string_view source,
                        absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(source, ": ", what));
}

bool IsTar(absl::string_view bytes) {
  return bytes.size() > 262 && bytes.substr(257, 5) == "ustar";
}

// torch before 1.6 wrote pickles one after the other, before 0.1.10 a tar.
bool IsLegacy(absl::string_view bytes) {
  return absl::StartsWith(bytes, "\x80") || IsTar(bytes);
}

absl::StatusOr<absl::string_view> ReadPickleEntry(const ZipArchive& archive,
                                                  int64_t max_bytes) {
  const std::string name = absl::StrCat(archive.root(), "/data.pkl");
  const auto found = archive.entries().find(name);
  if (found == archive.entries().end()) {
    return TorchError("TORCH_NO_PICKLE", archive.source(),
                      "a ZIP archive without data.pkl: torch.save did not "
                      "write it");
  }
  if (found->second.size_bytes > max_bytes) {
    return TorchError("TORCH_TOO_LARGE", archive.source(),
                      absl::StrCat(name, " has ", found->second.size_bytes,
                                   " bytes; the limit is ", max_bytes));
  }
  return archive.Read(name);
}

// torch notes the order of bytes since version 2.0.
absl::Status CheckByteOrder(const ZipArchive& archive) {
  const std::string name = absl::StrCat(archive.root(), "/byteorder");
  if (archive.entries().count(name) == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const absl::string_view order, archive.Read(name));
  if (order == "little") return absl::OkStatus();
  return TorchError("TORCH_BIG_ENDIAN", archive.source(),
                    absl::StrCat(name, " is not \"little\""));
}

}  // namespace

bool LooksLikeTorchFile(absl::string_view bytes) {
  return absl::StartsWith(bytes, "PK") || IsLegacy(bytes);
}

absl::StatusOr<TorchFile> TorchFile::FromBytes(std::string bytes,
                                               absl::string_view source,
                                               const TorchFileLimits& limits) {
  if (IsLegacy(bytes)) {
    return TorchError(
        "TORCH_LEGACY_FORMAT", source,
        "is in the format of torch before version 1.6, a bare pickle: "
        "convert it where you trust it, with torch.save(torch.load(OLD, "
        "weights_only=True), NEW)");
  }
  ASSIGN_OR_RETURN(const ZipArchive archive,
                   ZipArchive::FromBytes(std::move(bytes), source, limits.zip));
  RETURN_IF_ERROR(CheckByteOrder(archive));
  ASSIGN_OR_RETURN(const absl::string_view pickle,
                   ReadPickleEntry(archive, limits.max_pickle_bytes));
  ASSIGN_OR_RETURN(
      const PickleDocument document,
      ReadPickle(pickle,
                 absl::StrCat(source, ": ", archive.root(), "/data.pkl"),
                 limits.pickle));
  TorchFile file;
  file.is_torchscript_ =
      document.at(document.root).kind == PickleValue::Kind::kModule;
  ASSIGN_OR_RETURN(TorchNames names,
                   file.is_torchscript_
                       ? ModuleNames(document, source, limits.max_tensors)
                       : StateDictNames(document, source, limits.max_tensors));
  file.scalars_ = std::move(names.integers);
  file.numbers_ = std::move(names.numbers);
  TorchStorages storages(archive);
  for (const auto& [name, index] : names.tensors) {
    ASSIGN_OR_RETURN(
        RawTensor tensor,
        storages.Make(name, document.tensors[static_cast<size_t>(index)]));
    if (tensor.dtype == DType::kI64 && tensor.shape.empty() &&
        !absl::StrContains(name, '.')) {
      file.scalars_[name] =
          static_cast<int64_t>(LittleEndian(tensor.bytes, 0, 8));
    } else {
      file.tensors_[name] = std::move(tensor);
    }
  }
  return file;
}

absl::StatusOr<TorchFile> TorchFile::FromFile(const std::string& path,
                                              const TorchFileLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes,
                   ReadFile(path, limits.zip.max_file_bytes));
  return FromBytes(std::move(bytes), path, limits);
}

}  // namespace promptd::weights

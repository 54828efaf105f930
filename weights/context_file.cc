#include "weights/context_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/npy.h"
#include "weights/raw_tensor.h"
#include "weights/safetensors.h"
#include "weights/torch_file.h"
#include "weights/zip_archive.h"

namespace promptd::weights {
namespace {

constexpr size_t kListed = 8;

absl::Status ContextError(absl::string_view reason, absl::string_view source,
                          absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(source, ": ", what));
}

absl::Status Missing(absl::string_view source,
                     const std::vector<std::string>& names) {
  const auto end = names.begin() +
                   static_cast<std::ptrdiff_t>(std::min(names.size(), kListed));
  return ContextError("CONTEXT_MISSING", source,
                      absl::StrCat("has no \"", kContextName, "\", only ",
                                   absl::StrJoin(names.begin(), end, ", "),
                                   end == names.end() ? "" : ", ...",
                                   ": it is no learned context"));
}

FloatTensor ToFloats(const RawTensor& tensor) {
  const RawTensor wide = Widened(tensor);
  FloatTensor floats;
  floats.shape = wide.shape;
  floats.values.resize(wide.bytes.size() / sizeof(float));
  std::memcpy(floats.values.data(), wide.bytes.data(), wide.bytes.size());
  return floats;
}

// Of a file whose tensors are all there; one of them is the context.
absl::Status TakeFrom(const RawTensors& tensors, absl::string_view source,
                      const ContextFileLimits& limits, ContextFile* out) {
  auto found = tensors.find(kContextName);
  if (found == tensors.end()) {
    found = tensors.find(absl::StrCat("prompt_learner.", kContextName));
  }
  if (found == tensors.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : tensors) names.push_back(name);
    return Missing(source, names);
  }
  const RawTensor& tensor = found->second;
  if (tensor.dtype == DType::kI64) {
    return ContextError("BAD_CONTEXT", source,
                        "its context is of whole numbers");
  }
  if (tensor.elements() * static_cast<int64_t>(sizeof(float)) >
      limits.max_context_bytes) {
    return ContextError("CONTEXT_TOO_LARGE", source,
                        absl::StrCat("its context has ", tensor.elements(),
                                     " numbers, too many"));
  }
  out->context = ToFloats(tensor);
  return absl::OkStatus();
}

absl::Status ReadTorch(std::string bytes, absl::string_view source,
                       const ContextFileLimits& limits, ContextFile* out) {
  TorchFileLimits torch;
  torch.zip.max_file_bytes = limits.max_file_bytes;
  ASSIGN_OR_RETURN(const TorchFile file,
                   TorchFile::FromBytes(std::move(bytes), source, torch));
  out->format = "CoOp checkpoint";
  RETURN_IF_ERROR(TakeFrom(file.tensors(), source, limits, out));
  const auto& numbers = file.numbers();
  if (const auto epoch = numbers.find("epoch");
      epoch != numbers.end() && epoch->second >= 0 && epoch->second < 1e9) {
    out->epoch = static_cast<int64_t>(epoch->second);
  }
  if (const auto result = numbers.find("val_result");
      result != numbers.end() && std::isfinite(result->second)) {
    out->validation_result = result->second;
  }
  return absl::OkStatus();
}

absl::Status ReadNpz(std::string bytes, absl::string_view source,
                     const ContextFileLimits& limits, ContextFile* out) {
  ZipLimits zip;
  zip.layout = ZipLayout::kNpz;
  zip.max_file_bytes = limits.max_file_bytes;
  ASSIGN_OR_RETURN(const ZipArchive archive,
                   ZipArchive::FromBytes(std::move(bytes), source, zip));
  const std::string entry = absl::StrCat(kContextName, ".npy");
  out->format = "npz";
  if (archive.entries().count(entry) == 0) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : archive.entries()) names.push_back(name);
    return Missing(source, names);
  }
  // float64 takes twice the bytes, the header a little.
  ASSIGN_OR_RETURN(
      const std::string array,
      archive.ReadInflated(entry, 2 * limits.max_context_bytes + (64 << 10)));
  ASSIGN_OR_RETURN(out->context,
                   ReadNpy(array, absl::StrCat(source, ": ", entry)));
  return absl::OkStatus();
}

// A ZIP archive whose first entry stands in a folder is torch's.
bool FirstEntryIsInAFolder(absl::string_view bytes) {
  constexpr size_t kNameBytes = 26, kName = 30;
  if (bytes.size() < kName) return false;
  const size_t length = static_cast<unsigned char>(bytes[kNameBytes]) |
                        static_cast<unsigned char>(bytes[kNameBytes + 1]) << 8;
  return absl::StrContains(bytes.substr(kName, length), '/');
}

// The length of the header, then the header, a JSON object.
bool LooksLikeSafetensors(absl::string_view bytes) {
  return bytes.size() > 8 && bytes[8] == '{';
}

absl::Status Dispatch(std::string&& bytes, absl::string_view source,
                      const ContextFileLimits& limits, ContextFile* out) {
  const absl::string_view view = bytes;
  if (absl::StartsWith(view, "PK") && !FirstEntryIsInAFolder(view)) {
    return ReadNpz(std::move(bytes), source, limits, out);
  }
  if (absl::StartsWith(view, "\x93NUMPY")) {
    out->format = "npy";
    ASSIGN_OR_RETURN(out->context, ReadNpy(view, source));
    return absl::OkStatus();
  }
  if (LooksLikeSafetensors(view)) {
    out->format = "safetensors";
    ASSIGN_OR_RETURN(Safetensors file,
                     Safetensors::FromBytes(std::move(bytes), source));
    const auto shared = std::make_shared<const Safetensors>(std::move(file));
    return TakeFrom(RawTensorsOf(shared), source, limits, out);
  }
  if (LooksLikeTorchFile(view)) {
    return ReadTorch(std::move(bytes), source, limits, out);
  }
  return ContextError("UNKNOWN_CONTEXT_FILE", source,
                      "is neither a checkpoint of CoOp (torch.save) nor "
                      "safetensors nor npz");
}

}  // namespace

absl::StatusOr<ContextFile> ReadContext(std::string bytes,
                                        absl::string_view source,
                                        const ContextFileLimits& limits) {
  ContextFile file;
  RETURN_IF_ERROR(Dispatch(std::move(bytes), source, limits, &file));
  const FloatTensor& context = file.context;
  if (static_cast<int64_t>(context.values.size() * sizeof(float)) >
      limits.max_context_bytes) {
    return ContextError("CONTEXT_TOO_LARGE", source,
                        absl::StrCat("its context has ", context.values.size(),
                                     " numbers, too many"));
  }
  if (context.shape.size() != 2 && context.shape.size() != 3) {
    return ContextError(
        "BAD_CONTEXT", source,
        absl::StrCat("its context has the shape [",
                     absl::StrJoin(context.shape, ", "),
                     "]: wanted is [tokens, width], or [classes, tokens, "
                     "width] of a class-specific one"));
  }
  if (!AllFinite(context)) {
    return ContextError("BAD_CONTEXT", source,
                        "its context has numbers that are not finite: take "
                        "an earlier checkpoint");
  }
  return file;
}

absl::StatusOr<ContextFile> ReadContextFile(const std::string& path,
                                            const ContextFileLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, limits.max_file_bytes));
  return ReadContext(std::move(bytes), path, limits);
}

}  // namespace promptd::weights

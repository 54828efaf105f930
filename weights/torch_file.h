// Tensors out of files that torch.save and torch.jit.save wrote, without torch
// and without running any of what is in them.
//
//   ASSIGN_OR_RETURN(const TorchFile file,
//                    TorchFile::FromFile("ViT-B-32.pt"));
//   for (const auto& [name, tensor] : file.tensors()) ...
//
// A state dict gives the tensors of the dict itself or of its "state_dict"
// member, a common prefix "module." removed; the rest of a training
// checkpoint (optimizer, epoch) is passed over. A TorchScript archive gives
// the tensors among the attributes of its modules, named by their path.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/pickle_reader.h"
#include "weights/raw_tensor.h"
#include "weights/zip_archive.h"

namespace promptd::weights {

struct TorchFileLimits {
  ZipLimits zip;
  PickleLimits pickle;
  int64_t max_pickle_bytes = int64_t{64} << 20;
  int max_tensors = 4096;
};

// Immutable, hence thread-safe.
class TorchFile {
 public:
  // `source` names the bytes in errors, which also name entry, tensor and
  // offset. INVALID_ARGUMENT, reason by rule: those of zip_archive.h and
  // pickle_reader.h, and TORCH_LEGACY_FORMAT, TORCH_NO_PICKLE,
  // TORCH_BIG_ENDIAN, TORCH_NOT_A_STATE_DICT, TORCH_BAD_NAME,
  // TORCH_DUPLICATE_TENSOR, TORCH_TOO_MANY_TENSORS, TORCH_BAD_DTYPE,
  // TORCH_BAD_STORAGE, TORCH_BAD_TENSOR, TORCH_TOO_LARGE.
  static absl::StatusOr<TorchFile> FromBytes(
      std::string bytes, absl::string_view source,
      const TorchFileLimits& limits = {});
  // The same, and ReadFile's errors.
  static absl::StatusOr<TorchFile> FromFile(const std::string& path,
                                            const TorchFileLimits& limits = {});

  // Whether the file is a TorchScript archive.
  bool is_torchscript() const { return is_torchscript_; }
  // Contiguous; of F32, F16, BF16 or I64. Tensors that were so in the file
  // share its bytes.
  const RawTensors& tensors() const { return tensors_; }
  // Integer attributes of a TorchScript archive's outermost module, also of
  // those stored as tensors, e.g. "input_resolution".
  const std::map<std::string, int64_t>& scalars() const { return scalars_; }
  // Numbers beside the "state_dict" of a training checkpoint, e.g. "epoch".
  const std::map<std::string, double>& numbers() const { return numbers_; }

 private:
  TorchFile() = default;

  bool is_torchscript_ = false;
  RawTensors tensors_;
  std::map<std::string, int64_t> scalars_;
  std::map<std::string, double> numbers_;
};

// Whether the bytes begin like a ZIP archive or like a pickle: whether
// TorchFile is the one to read or to refuse them.
bool LooksLikeTorchFile(absl::string_view bytes);

}  // namespace promptd::weights

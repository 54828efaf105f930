// A tensor's values out of the storages of a torch file. Internal to weights/.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/pickle_value.h"
#include "weights/raw_tensor.h"
#include "weights/zip_archive.h"

namespace promptd::weights {

// Thread-compatible.
class TorchStorages {
 public:
  // `archive` must outlive the object, not the tensors that it makes.
  explicit TorchStorages(const ZipArchive& archive);

  // A contiguous tensor: a view of the archive's bytes where they are so, a
  // copy otherwise. Tensors may share a storage, but all together they have
  // at most twice the archive's bytes: views that repeat elements could
  // otherwise fill memory. INVALID_ARGUMENT (TORCH_BAD_DTYPE,
  // TORCH_BAD_STORAGE, TORCH_BAD_TENSOR, TORCH_TOO_LARGE) and Read's errors.
  absl::StatusOr<RawTensor> Make(const std::string& name,
                                 const PickleTensor& tensor);

 private:
  absl::StatusOr<absl::string_view> Storage(const std::string& name,
                                            const PickleStorage& storage);
  absl::Status Error(absl::string_view reason, const std::string& name,
                     absl::string_view what) const;

  const ZipArchive& archive_;
  int64_t bytes_left_;
  std::map<std::string, absl::string_view> read_;  // by key, checksum verified
};

}  // namespace promptd::weights

// One float tensor as a blob: how features and contexts are stored.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"

namespace promptd::worker {

// A safetensors file that holds `tensor` under `name`; equal input gives equal
// bytes.
absl::StatusOr<std::string> SerializeTensor(
    const std::string& name, const FloatTensor& tensor,
    const std::map<std::string, std::string>& metadata = {});

// DATA_LOSS (BLOB_CORRUPT) unless the bytes are a safetensors file that holds
// exactly one float tensor, `name`, of finite values.
absl::StatusOr<FloatTensor> ParseTensor(absl::string_view bytes,
                                        const std::string& name);

}  // namespace promptd::worker

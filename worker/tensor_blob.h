// One float tensor as a blob: how features and contexts are stored.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"

namespace promptd::worker {

// A safetensors file that holds `tensor` under `name`; equal input gives equal
// bytes.
absl::StatusOr<std::string> SerializeTensor(
    const std::string& name, const FloatTensor& tensor,
    const std::map<std::string, std::string>& metadata = {});

// As above with several tensors by name; none at all is no file.
absl::StatusOr<std::string> SerializeTensors(
    const std::map<std::string, FloatTensor>& tensors,
    const std::map<std::string, std::string>& metadata = {});

struct NamedTensors {
  std::map<std::string, FloatTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// All of a safetensors file, tensors float and finite. DATA_LOSS
// (BLOB_CORRUPT); `what` is for the message.
absl::StatusOr<NamedTensors> ParseTensors(absl::string_view bytes,
                                          const std::string& what);

// DATA_LOSS (BLOB_CORRUPT) unless the bytes are a safetensors file that holds
// exactly one float tensor, `name`, of finite values.
absl::StatusOr<FloatTensor> ParseTensor(absl::string_view bytes,
                                        const std::string& name);

// The shape of a context from outside, [M, W] or [C, M, W]. INVALID_ARGUMENT
// (BAD_CONTEXT) unless the bytes are a safetensors file that holds exactly one
// tensor, "ctx", float32 of two or three dimensions, of finite values.
absl::StatusOr<std::vector<int64_t>> ContextShape(absl::string_view bytes);

// The context in a checkpoint of a job that learns one, [M, W] or [C, M, W]:
// the best so far where validation images select it, else the latest. DATA_LOSS
// (BLOB_CORRUPT) for bytes that are no such checkpoint.
absl::StatusOr<FloatTensor> ContextOfCheckpoint(absl::string_view bytes);

}  // namespace promptd::worker

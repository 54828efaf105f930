// The tensors of Open Inference Protocol requests and replies: where an input's
// bytes are, what they hold, and how outputs are packed. Pure functions.
//
// BYTES elements lie one behind the other, each with its length before it (four
// bytes, little-endian); other types are little-endian and row-major.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/error.h"
#include "inference/inference.pb.h"

namespace promptd::server {

using InferParameters =
    google::protobuf::Map<std::string, inference::InferParameter>;

// Where a tensor's bytes are, or go, in shared memory.
struct SharedPlace {
  std::string region;  // its registered name
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

// One input of a request. The pointers are into the request.
struct InferInput {
  const inference::ModelInferRequest::InferInputTensor* tensor = nullptr;
  // As they lie in the message, or were copied from `shared`; nothing: typed
  // contents.
  std::optional<absl::string_view> raw;
  std::optional<SharedPlace> shared;
  std::string field;  // "inputs[0] (IMAGE)", for messages
};

// A parameter's whole number, of either sign.
std::optional<int64_t> WholeNumber(const inference::InferParameter& value);

// The place that a tensor's parameters name; nothing: none. A violation for one
// without a size.
std::optional<SharedPlace> PlaceOf(const InferParameters& parameters,
                                   const std::string& field,
                                   std::vector<FieldViolation>* violations);

// The inputs in the request's order, those in shared memory without contents
// yet. Adds a violation for a name that is there twice, for raw contents that
// are not one for each other input, and for contents of two kinds.
std::vector<InferInput> FindInputs(const inference::ModelInferRequest& request,
                                   std::vector<FieldViolation>* violations);

// Numbers in a tensor of this shape; -1 when a dimension is negative or the
// product is above `most`.
int64_t ElementsOf(const google::protobuf::RepeatedField<int64_t>& shape,
                   int64_t most);

// The elements of an input of type BYTES or FP32. A violation and nothing else
// when type, shape and bytes do not fit; `most` bounds the elements. Numbers
// must be finite. Both are borrowed from the request.
std::vector<absl::string_view> BytesOf(const InferInput& input, int64_t most,
                                       std::vector<FieldViolation>* violations);
absl::Span<const float> FloatsOf(const InferInput& input, int64_t most,
                                 std::vector<FieldViolation>* violations);

// Adds an output and its raw contents.
void AddFloatOutput(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<float>& values,
                    inference::ModelInferResponse* reply);
void AddBytesOutput(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<std::string>& values,
                    inference::ModelInferResponse* reply);

}  // namespace promptd::server

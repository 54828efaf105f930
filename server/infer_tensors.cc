#include "server/infer_tensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "weights/safetensors.h"

namespace promptd::server {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are copied as they lie in messages");

constexpr size_t kLengthBytes = 4;

using Tensor = inference::ModelInferRequest::InferInputTensor;

std::string ShapeText(const Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

// Whether type and shape are right; `*elements` is how many there are then.
bool CheckShape(const InferInput& input, absl::string_view datatype,
                int64_t most, int64_t* elements,
                std::vector<FieldViolation>* violations) {
  const Tensor& tensor = *input.tensor;
  if (tensor.datatype() != datatype) {
    violations->push_back(
        {input.field, absl::StrCat("has type ", tensor.datatype(),
                                   ", this model takes ", datatype)});
    return false;
  }
  *elements = ElementsOf(tensor.shape(), most);
  if (*elements >= 0) return true;
  violations->push_back(
      {input.field,
       absl::StrCat("has shape ", ShapeText(tensor),
                    ": dimensions must not be negative, and at most ", most,
                    " elements are taken")});
  return false;
}

void WrongCount(const InferInput& input, size_t count,
                std::vector<FieldViolation>* violations) {
  violations->push_back(
      {input.field, absl::StrCat("has shape ", ShapeText(*input.tensor),
                                 ", but its contents hold ", count,
                                 count == 1 ? " element" : " elements")});
}

// The elements of packed BYTES; why not in `*problem`.
std::vector<absl::string_view> Unpack(absl::string_view raw, int64_t elements,
                                      std::string* problem) {
  std::vector<absl::string_view> out;
  size_t at = 0;
  while (at < raw.size()) {
    if (static_cast<int64_t>(out.size()) == elements) {
      *problem = absl::StrCat("has ", raw.size() - at,
                              " bytes behind its last element");
      return {};
    }
    uint32_t length = 0;
    if (raw.size() - at < kLengthBytes) {
      *problem = absl::StrCat("ends inside the length of element ", out.size());
      return {};
    }
    std::memcpy(&length, raw.data() + at, kLengthBytes);
    at += kLengthBytes;
    if (raw.size() - at < length) {
      *problem = absl::StrCat("says that element ", out.size(), " has ", length,
                              " bytes, but only ", raw.size() - at,
                              " follow: each element needs its length before "
                              "it, four bytes, little-endian");
      return {};
    }
    out.push_back(raw.substr(at, length));
    at += length;
  }
  return out;
}

// The numbers of raw contents where they lie: their memory, a string or a copy
// of shared memory, is aligned for them.
absl::Span<const float> NumbersIn(absl::string_view raw) {
  PROMPTD_CHECK(reinterpret_cast<uintptr_t>(raw.data()) % alignof(float) == 0);
  return {reinterpret_cast<const float*>(raw.data()),
          raw.size() / sizeof(float)};
}

}  // namespace

std::optional<int64_t> WholeNumber(const inference::InferParameter& value) {
  switch (value.parameter_choice_case()) {
    case inference::InferParameter::kInt64Param:
      return value.int64_param();
    case inference::InferParameter::kUint64Param:
      return static_cast<int64_t>(std::min<uint64_t>(
          value.uint64_param(), std::numeric_limits<int64_t>::max()));
    default:
      return std::nullopt;
  }
}

std::optional<SharedPlace> PlaceOf(const InferParameters& parameters,
                                   const std::string& field,
                                   std::vector<FieldViolation>* violations) {
  const auto region = parameters.find("shared_memory_region");
  if (region == parameters.end()) return std::nullopt;
  const auto number = [&](const char* name, int64_t missing) -> int64_t {
    const auto found = parameters.find(name);
    if (found == parameters.end()) return missing;
    return WholeNumber(found->second).value_or(-1);
  };
  const int64_t bytes = number("shared_memory_byte_size", -1);
  const int64_t offset = number("shared_memory_offset", 0);
  if (bytes < 0 || offset < 0) {
    violations->push_back(
        {field,
         "lies in shared memory: shared_memory_byte_size, and "
         "shared_memory_offset if it is there, must be numbers of bytes"});
  }
  return SharedPlace{region->second.string_param(),
                     static_cast<uint64_t>(offset),
                     static_cast<uint64_t>(bytes)};
}

std::vector<InferInput> FindInputs(const inference::ModelInferRequest& request,
                                   std::vector<FieldViolation>* violations) {
  const int raw_entries = request.raw_input_contents_size();
  std::vector<InferInput> inputs;
  std::set<std::string> names;
  int sent = 0;  // inputs that have an entry of raw contents, if any has
  for (int i = 0; i < request.inputs_size(); ++i) {
    const Tensor& tensor = request.inputs(i);
    InferInput input;
    input.tensor = &tensor;
    input.field = absl::StrCat("inputs[", i, "] (", tensor.name(), ")");
    if (!names.insert(tensor.name()).second) {
      violations->push_back({input.field, "is there twice"});
    }
    input.shared = PlaceOf(tensor.parameters(), input.field, violations);
    if (input.shared && tensor.has_contents()) {
      violations->push_back(
          {input.field,
           "has typed contents and lies in shared memory: use one of the two"});
    } else if (raw_entries > 0 && tensor.has_contents()) {
      violations->push_back(
          {input.field,
           "has typed contents beside raw_input_contents: use one of the two"});
    }
    if (!input.shared) {
      if (sent < raw_entries) input.raw = request.raw_input_contents(sent);
      ++sent;
    }
    inputs.push_back(std::move(input));
  }
  if (raw_entries > 0 && raw_entries != sent) {
    violations->push_back(
        {"raw_input_contents",
         absl::StrCat("has ", raw_entries, " entries for ", sent, " inputs")});
    return {};
  }
  return inputs;
}

int64_t ElementsOf(const google::protobuf::RepeatedField<int64_t>& shape,
                   int64_t most) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 0) return -1;
    if (size > 0 && elements > most / size) return -1;
    elements *= size;
  }
  return elements;
}

std::vector<absl::string_view> BytesOf(
    const InferInput& input, int64_t most,
    std::vector<FieldViolation>* violations) {
  int64_t elements = 0;
  if (!CheckShape(input, "BYTES", most, &elements, violations)) return {};
  std::vector<absl::string_view> out;
  if (input.raw.has_value()) {
    std::string problem;
    out = Unpack(*input.raw, elements, &problem);
    if (!problem.empty()) {
      violations->push_back({input.field, problem});
      return {};
    }
  } else {
    const auto& typed = input.tensor->contents().bytes_contents();
    out.assign(typed.begin(), typed.end());
  }
  if (static_cast<int64_t>(out.size()) != elements) {
    WrongCount(input, out.size(), violations);
    return {};
  }
  return out;
}

absl::Span<const float> FloatsOf(const InferInput& input, int64_t most,
                                 std::vector<FieldViolation>* violations) {
  int64_t elements = 0;
  if (!CheckShape(input, "FP32", most, &elements, violations)) return {};
  absl::Span<const float> out;
  if (input.raw.has_value()) {
    if (input.raw->size() != static_cast<size_t>(elements) * sizeof(float)) {
      violations->push_back(
          {input.field,
           absl::StrCat("has shape ", ShapeText(*input.tensor), ", that is ",
                        elements * sizeof(float), " bytes, but ",
                        input.raw->size(), " were sent")});
      return {};
    }
    out = NumbersIn(*input.raw);
  } else {
    const auto& typed = input.tensor->contents().fp32_contents();
    if (typed.size() != elements) {
      WrongCount(input, static_cast<size_t>(typed.size()), violations);
      return {};
    }
    out = typed;
  }
  if (weights::AllFinite(out)) return out;
  const auto first = std::find_if(out.begin(), out.end(), [](float value) {
    return !std::isfinite(value);
  });
  violations->push_back(
      {input.field, absl::StrCat("holds a number that is not finite, at ",
                                 first - out.begin(), " of ", out.size())});
  return {};
}

namespace {

std::string* AddOutput(const std::string& name, const std::string& datatype,
                       const std::vector<int64_t>& shape,
                       inference::ModelInferResponse* reply) {
  auto* output = reply->add_outputs();
  output->set_name(name);
  output->set_datatype(datatype);
  output->mutable_shape()->Add(shape.begin(), shape.end());
  return reply->add_raw_output_contents();
}

}  // namespace

void AddFloatOutput(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<float>& values,
                    inference::ModelInferResponse* reply) {
  AddOutput(name, "FP32", shape, reply)
      ->assign(reinterpret_cast<const char*>(values.data()),
               values.size() * sizeof(float));
}

void AddBytesOutput(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<std::string>& values,
                    inference::ModelInferResponse* reply) {
  std::string* raw = AddOutput(name, "BYTES", shape, reply);
  for (const std::string& value : values) {
    const auto length = static_cast<uint32_t>(value.size());
    raw->append(reinterpret_cast<const char*>(&length), kLengthBytes);
    raw->append(value);
  }
}

}  // namespace promptd::server

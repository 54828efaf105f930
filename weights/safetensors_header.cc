#include "weights/safetensors_header.h"

#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "weights/quoted.h"

namespace promptd::weights {
namespace {

constexpr size_t kMaxRank = 8;
constexpr char kMetadataName[] = "__metadata__";

// A state machine over the parser's events. Returning false stops the parser;
// `status` then says why. The parser itself is not recursive.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderHandler(absl::string_view source, const SafetensorsLimits& limits)
      : source_(source), limits_(limits) {}

  const absl::Status& status() const { return status_; }
  SafetensorsHeader&& TakeHeader() { return std::move(header_); }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("true or false"); }
  bool number_integer(number_integer_t) override {
    return Unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t&) override {
    return Unexpected("a number that is not a 64-bit integer");
  }
  bool binary(binary_t&) override { return Unexpected("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) {
      return Unexpected("a number");
    }
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Fail(place_ == Place::kShape ? "SAFETENSORS_BAD_SHAPE"
                                          : "SAFETENSORS_BAD_OFFSETS",
                  absl::StrCat(Where(), ": ", value, " is too large"));
    }
    numbers_.push_back(static_cast<int64_t>(value));
    if (numbers_.size() > kMaxRank) {
      return Fail("SAFETENSORS_BAD_SHAPE",
                  absl::StrCat(Where(), ": more than ", kMaxRank, " numbers"));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata && !key_.empty()) {
      metadata_bytes_ += static_cast<int64_t>(key_.size() + value.size());
      if (metadata_bytes_ > limits_.max_metadata_bytes) {
        return Fail("SAFETENSORS_BAD_METADATA",
                    absl::StrCat("metadata is longer than ",
                                 limits_.max_metadata_bytes, " bytes"));
      }
      header_.metadata[key_] = value;
      return true;
    }
    if (place_ == Place::kTensor && key_ == "dtype") return SetDType(value);
    return Unexpected("a string");
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return Unexpected("an object");
    place_ = tensor_name_ == kMetadataName ? Place::kMetadata : Place::kTensor;
    members_.clear();
    record_ = TensorRecord();
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kTop) return TopLevelKey(name);
    key_ = name;
    if (!members_.insert(name).second) {
      return Fail("SAFETENSORS_DUPLICATE_KEY",
                  absl::StrCat(Where(), " occurs twice"));
    }
    if (place_ == Place::kMetadata && name.empty()) {
      return Fail("SAFETENSORS_BAD_METADATA", "an empty metadata name");
    }
    if (place_ == Place::kTensor && name != "dtype" && name != "shape" &&
        name != "data_offsets") {
      return Fail("SAFETENSORS_BAD_HEADER",
                  absl::StrCat(Where(), " is not a member of the format"));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor && !FinishTensor()) return false;
    place_ = place_ == Place::kTop ? Place::kDone : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kTensor && key_ == "shape") {
      place_ = Place::kShape;
    } else if (place_ == Place::kTensor && key_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      return Unexpected("an array");
    }
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kShape) {
      record_.shape = numbers_;
    } else if (numbers_.size() != 2) {
      return Fail("SAFETENSORS_BAD_OFFSETS",
                  absl::StrCat(Where(), ": ", numbers_.size(),
                               " numbers instead of begin and end"));
    } else {
      record_.begin_bytes = numbers_[0];
      record_.end_bytes = numbers_[1];
    }
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(
        "SAFETENSORS_BAD_HEADER",
        absl::StrCat("the header is not valid JSON at byte ", position));
  }

 private:
  enum class Place {
    kOutside,
    kTop,
    kMetadata,
    kTensor,
    kShape,
    kOffsets,
    kDone
  };

  bool Fail(absl::string_view reason, absl::string_view what) {
    status_ = SafetensorsError(source_, reason, what);
    return false;
  }

  std::string Where() const {
    if (place_ == Place::kOutside || place_ == Place::kTop) return "header";
    return absl::StrCat(Quoted(tensor_name_), " member ", Quoted(key_));
  }

  bool Unexpected(absl::string_view found) {
    return Fail(place_ == Place::kMetadata ? "SAFETENSORS_BAD_METADATA"
                                           : "SAFETENSORS_BAD_HEADER",
                absl::StrCat(Where(), ": ", found, " is not allowed here"));
  }

  bool TopLevelKey(const std::string& name) {
    tensor_name_ = name;
    key_.clear();
    if (!names_.insert(name).second) {
      return Fail("SAFETENSORS_DUPLICATE_KEY",
                  absl::StrCat(Quoted(name), " occurs twice"));
    }
    if (name == kMetadataName) return true;
    if (!IsTensorName(name)) {
      return Fail("SAFETENSORS_BAD_NAME",
                  absl::StrCat(Quoted(name),
                               " is not a tensor name: 1 to 256 "
                               "letters, digits, _ . - /"));
    }
    if (++tensor_count_ > limits_.max_tensors) {
      return Fail("SAFETENSORS_TOO_MANY_TENSORS",
                  absl::StrCat("more than ", limits_.max_tensors, " tensors"));
    }
    return true;
  }

  bool SetDType(const std::string& name) {
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI64}) {
      if (name == DTypeName(dtype)) {
        record_.dtype = dtype;
        return true;
      }
    }
    return Fail("SAFETENSORS_BAD_DTYPE",
                absl::StrCat("tensor ", Quoted(tensor_name_), ": data type ",
                             Quoted(name),
                             " is not supported: use F32, F16, BF16 or I64"));
  }

  bool FinishTensor() {
    if (members_.size() != 3) {
      return Fail("SAFETENSORS_BAD_HEADER",
                  absl::StrCat("tensor ", Quoted(tensor_name_),
                               " lacks dtype, shape or data_offsets"));
    }
    status_ = CountElements(tensor_name_, source_, record_);
    if (!status_.ok()) return false;
    if (record_.begin_bytes > record_.end_bytes) {
      return Fail("SAFETENSORS_BAD_OFFSETS",
                  absl::StrCat("tensor ", Quoted(tensor_name_), ": begin ",
                               record_.begin_bytes, " is after end ",
                               record_.end_bytes));
    }
    const int64_t expected = record_.elements * DTypeSize(record_.dtype);
    if (record_.end_bytes - record_.begin_bytes != expected) {
      return Fail("SAFETENSORS_SIZE_MISMATCH",
                  absl::StrCat("tensor ", Quoted(tensor_name_), " at offset ",
                               record_.begin_bytes, ": its shape needs ",
                               expected, " bytes, its offsets span ",
                               record_.end_bytes - record_.begin_bytes));
    }
    header_.tensors[tensor_name_] = record_;
    return true;
  }

  const absl::string_view source_;
  const SafetensorsLimits limits_;
  absl::Status status_;
  SafetensorsHeader header_;
  Place place_ = Place::kOutside;
  std::set<std::string> names_;    // at the top level
  std::set<std::string> members_;  // of the object that is open
  std::string tensor_name_;
  std::string key_;
  TensorRecord record_;
  std::vector<int64_t> numbers_;
  int tensor_count_ = 0;
  int64_t metadata_bytes_ = 0;
};

}  // namespace

bool IsTensorName(absl::string_view name) {
  if (name.empty() || name.size() > 256) return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '.' && c != '-' && c != '/') {
      return false;
    }
  }
  return true;
}

absl::Status CountElements(const std::string& name, absl::string_view source,
                           TensorRecord& record) {
  // Room for the element size and for a sum of two sizes.
  constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 64;
  if (record.shape.size() > kMaxRank) {
    return SafetensorsError(source, "SAFETENSORS_BAD_SHAPE",
                            absl::StrCat("tensor ", Quoted(name), " has ",
                                         record.shape.size(), " dimensions"));
  }
  record.elements = 1;
  for (int64_t dimension : record.shape) {
    if (dimension == 0) {
      return SafetensorsError(
          source, "SAFETENSORS_EMPTY_TENSOR",
          absl::StrCat("tensor ", Quoted(name), " has a zero dimension"));
    }
    if (dimension < 0 || record.elements > kMaxElements / dimension) {
      return SafetensorsError(
          source, "SAFETENSORS_BAD_SHAPE",
          absl::StrCat("tensor ", Quoted(name), ": its shape overflows"));
    }
    record.elements *= dimension;
  }
  return absl::OkStatus();
}

absl::Status SafetensorsError(absl::string_view source,
                              absl::string_view reason,
                              absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(source, ": ", what));
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(
    absl::string_view json, absl::string_view source,
    const SafetensorsLimits& limits) {
  HeaderHandler handler(source, limits);
  const bool parsed = nlohmann::json::sax_parse(
      json.data(), json.data() + json.size(), &handler);
  RETURN_IF_ERROR(handler.status());
  if (!parsed) {
    return SafetensorsError(source, "SAFETENSORS_BAD_HEADER",
                            "the header is not valid JSON");
  }
  return handler.TakeHeader();
}

}  // namespace promptd::weights

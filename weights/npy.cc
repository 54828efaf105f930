#include "weights/npy.h"

#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/element_count.h"
#include "weights/half_float.h"
#include "weights/little_endian.h"
#include "weights/quoted.h"

namespace promptd::weights {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMaxHeaderBytes = 4096;  // one float array needs about 120
constexpr size_t kMaxRank = 8;
constexpr int64_t kMaxElements = int64_t{1} << 32;
constexpr size_t kAlignment = 64;

absl::Status NpyError(absl::string_view reason, absl::string_view source,
                      absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(source, ": ", what));
}

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
};

// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (4, 512), }. Each
// function is false when the text goes on in another way.
class HeaderParser {
 public:
  explicit HeaderParser(absl::string_view text) : text_(text) {}

  bool Parse(Header* header) {
    if (!Take("{")) return false;
    while (!Take("}")) {
      std::string key;
      if (!String(&key) || !Take(":") || !Value(key, header)) return false;
      if (Take("}")) break;
      if (!Take(",")) return false;
    }
    Skip();
    return text_.empty() && header->descr && header->fortran_order &&
           header->shape;
  }

 private:
  void Skip() { text_ = absl::StripLeadingAsciiWhitespace(text_); }

  bool Take(absl::string_view token) {
    Skip();
    if (!absl::StartsWith(text_, token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }

  bool String(std::string* out) {
    Skip();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return false;
    const size_t end = text_.find(text_[0], 1);
    if (end == text_.npos) return false;
    *out = std::string(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return out->find('\\') == out->npos;
  }

  bool Value(const std::string& key, Header* header) {
    if (key == "descr" && !header->descr) {
      // What is no string here is a structure: of no use, but well named.
      header->descr.emplace();
      return String(&*header->descr);
    }
    if (key == "fortran_order" && !header->fortran_order) {
      header->fortran_order = Take("True");
      return *header->fortran_order || Take("False");
    }
    if (key == "shape" && !header->shape) return Shape(header);
    return false;
  }

  bool Shape(Header* header) {
    header->shape.emplace();
    if (!Take("(")) return false;
    while (!Take(")")) {
      Skip();
      size_t digits = 0;
      while (digits < text_.size() &&
             absl::ascii_isdigit(static_cast<unsigned char>(text_[digits]))) {
        ++digits;
      }
      int64_t dimension = 0;
      if (header->shape->size() >= kMaxRank ||
          !absl::SimpleAtoi(text_.substr(0, digits), &dimension)) {
        return false;
      }
      text_.remove_prefix(digits);
      header->shape->push_back(dimension);
      if (Take(")")) break;
      if (!Take(",")) return false;
    }
    return true;
  }

  absl::string_view text_;
};

// The header's text; `data` is set to what follows it.
absl::StatusOr<absl::string_view> HeaderText(absl::string_view bytes,
                                             absl::string_view source,
                                             absl::string_view* data) {
  if (!absl::StartsWith(bytes, kMagic) || bytes.size() < kMagic.size() + 6) {
    return NpyError("NPY_NOT_AN_ARRAY", source,
                    "not an array as numpy.save writes it");
  }
  const int major = static_cast<unsigned char>(bytes[6]);
  if (major < 1 || major > 3 || bytes[7] != 0) {
    return NpyError(
        "NPY_BAD_HEADER", source,
        absl::StrCat("format version ", major, ".",
                     static_cast<unsigned char>(bytes[7]), " is not known"));
  }
  const int width = major == 1 ? 2 : 4;
  const uint64_t length = LittleEndian(bytes, 8, width);
  const size_t begin = 8 + static_cast<size_t>(width);
  if (length > kMaxHeaderBytes || length > bytes.size() - begin) {
    return NpyError(
        "NPY_BAD_HEADER", source,
        absl::StrCat("a header of ", length, " bytes is cut off or too long"));
  }
  *data = bytes.substr(begin + length);
  return bytes.substr(begin, length);
}

float ValueAt(absl::string_view data, int64_t index, int width) {
  const uint64_t bits = LittleEndian(data, index * width, width);
  if (width == 2) return HalfToFloat(static_cast<uint16_t>(bits));
  if (width == 4) {
    const auto narrow = static_cast<uint32_t>(bits);
    float value = 0;
    std::memcpy(&value, &narrow, sizeof(value));
    return value;
  }
  double value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return static_cast<float>(value);
}

}  // namespace

absl::StatusOr<FloatTensor> ReadNpy(absl::string_view bytes,
                                    absl::string_view source) {
  absl::string_view data;
  ASSIGN_OR_RETURN(const absl::string_view text,
                   HeaderText(bytes, source, &data));
  Header header;
  if (!HeaderParser(text).Parse(&header)) {
    return NpyError("NPY_BAD_HEADER", source,
                    absl::StrCat("the header ", Quoted(text),
                                 " is not that of a plain array"));
  }
  const std::string& descr = *header.descr;
  const int width = descr == "<f2"   ? 2
                    : descr == "<f4" ? 4
                    : descr == "<f8" ? 8
                                     : 0;
  if (width == 0) {
    return NpyError(
        "NPY_BAD_DTYPE", source,
        absl::StrCat("is of type \"", absl::CHexEscape(descr.substr(0, 40)),
                     "\": save it as float32, float16 or float64 of this "
                     "machine's byte order"));
  }
  if (*header.fortran_order) {
    return NpyError("NPY_FORTRAN_ORDER", source,
                    "is in Fortran's order: save numpy.ascontiguousarray of "
                    "it");
  }
  const std::optional<int64_t> count =
      ElementCount(*header.shape, kMaxElements);
  const std::string shape = absl::StrJoin(*header.shape, ", ");
  if (!count) {
    return NpyError(
        "NPY_BAD_SHAPE", source,
        absl::StrCat("its shape (", shape, ") is empty or too large"));
  }
  if (static_cast<int64_t>(data.size()) != *count * width) {
    return NpyError("NPY_SIZE_MISMATCH", source,
                    absl::StrCat("has ", data.size(), " bytes, its shape (",
                                 shape, ") needs ", *count * width));
  }
  FloatTensor tensor;
  tensor.shape = *std::move(header.shape);
  tensor.values.resize(static_cast<size_t>(*count));
  for (int64_t i = 0; i < *count; ++i) {
    tensor.values[static_cast<size_t>(i)] = ValueAt(data, i, width);
  }
  return tensor;
}

std::string WriteNpy(const FloatTensor& tensor) {
  std::string header =
      absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (",
                   absl::StrJoin(tensor.shape, ", "),
                   tensor.shape.size() == 1 ? "," : "", "), }");
  // Spaces and a line's end, so that the values are aligned.
  const size_t before = kMagic.size() + 4;
  const size_t length = header.size() + 1;
  header.append((kAlignment - (before + length) % kAlignment) % kAlignment,
                ' ');
  header.push_back('\n');
  std::string bytes = absl::StrCat(kMagic, absl::string_view("\1\0", 2),
                                   ToLittleEndian(header.size(), 2), header);
  bytes.append(reinterpret_cast<const char*>(tensor.values.data()),
               tensor.values.size() * sizeof(float));
  return bytes;
}

}  // namespace promptd::weights

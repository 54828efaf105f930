#include "clip/unicode_text.h"

#include <unicode/uchar.h>
#include <unicode/ustring.h>

#include <vector>

#include "common/check.h"

namespace promptd::clip {
namespace {

// The length of the sequence that `lead` opens; 0 when it opens none.
int SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

bool IsScalar(char32_t c, int length) {
  if (length == 3) return c >= 0x800 && (c < 0xd800 || c > 0xdfff);
  return length < 3 || (c >= 0x10000 && c <= 0x10ffff);
}

}  // namespace

std::optional<std::u32string> DecodeUtf8(absl::string_view bytes) {
  std::u32string text;
  text.reserve(bytes.size());
  size_t i = 0;
  while (i < bytes.size()) {
    const unsigned char lead = static_cast<unsigned char>(bytes[i]);
    const int length = SequenceLength(lead);
    if (length == 0 || bytes.size() - i < static_cast<size_t>(length)) {
      return std::nullopt;
    }
    char32_t c = length == 1 ? lead : lead & (0x7f >> length);
    for (int k = 1; k < length; ++k) {
      const unsigned char next = static_cast<unsigned char>(bytes[i + k]);
      if ((next & 0xc0) != 0x80) return std::nullopt;
      c = c << 6 | (next & 0x3f);
    }
    if (!IsScalar(c, length)) return std::nullopt;
    text.push_back(c);
    i += length;
  }
  return text;
}

std::string EncodeUtf8(const std::u32string& text) {
  std::string bytes;
  bytes.reserve(text.size());
  const auto tail = [&bytes](char32_t c, int shift) {
    bytes.push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f)));
  };
  for (char32_t c : text) {
    if (c < 0x80) {
      bytes.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      bytes.push_back(static_cast<char>(0xc0 | c >> 6));
      tail(c, 0);
    } else if (c < 0x10000) {
      bytes.push_back(static_cast<char>(0xe0 | c >> 12));
      tail(c, 6);
      tail(c, 0);
    } else {
      bytes.push_back(static_cast<char>(0xf0 | c >> 18));
      tail(c, 12);
      tail(c, 6);
      tail(c, 0);
    }
  }
  return bytes;
}

bool IsLetter(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0;
}

bool IsNumber(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0;
}

bool IsPythonSpace(char32_t c) {
  return (c >= 0x1c && c <= 0x1f) || u_isUWhiteSpace(static_cast<UChar32>(c));
}

std::u32string CollapseWhitespace(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  bool pending = false;
  for (char32_t c : text) {
    if (IsPythonSpace(c)) {
      pending = !result.empty();
      continue;
    }
    if (pending) result.push_back(U' ');
    pending = false;
    result.push_back(c);
  }
  return result;
}

std::u32string ToLower(const std::u32string& text) {
  if (text.empty()) return text;
  std::vector<UChar> source;
  source.reserve(text.size());
  for (char32_t c : text) {
    if (c < 0x10000) {
      source.push_back(static_cast<UChar>(c));
    } else {
      source.push_back(U16_LEAD(c));
      source.push_back(U16_TRAIL(c));
    }
  }
  // No lower case is longer than three units for one.
  std::vector<UChar> lower(source.size() * 3 + 1);
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length = u_strToLower(
      lower.data(), static_cast<int32_t>(lower.size()), source.data(),
      static_cast<int32_t>(source.size()), /*locale=*/"", &error);
  PROMPTD_CHECK(U_SUCCESS(error));
  std::u32string result;
  result.reserve(text.size());
  for (int32_t i = 0; i < length;) {
    UChar32 c;
    U16_NEXT(lower.data(), i, length, c);
    result.push_back(static_cast<char32_t>(c));
  }
  return result;
}

}  // namespace promptd::clip

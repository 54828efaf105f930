#include "clip/unicode_text.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>

#include <algorithm>
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

struct Range {
  char32_t first;
  char32_t last;
};

#include "clip/newer_unicode.inc"

// The Unicode version of Python 3.11's tables.
constexpr int kPythonUnicode = 14;

template <size_t N>
bool IsIn(const Range (&ranges)[N], char32_t c) {
  if (c < ranges[0].first) return false;
  const Range* const after =
      std::upper_bound(ranges, ranges + N, c,
                       [](char32_t x, const Range& r) { return x < r.first; });
  return c <= (after - 1)->last;
}

std::vector<UChar> ToUtf16(const std::u32string& text) {
  std::vector<UChar> units;
  units.reserve(text.size());
  for (char32_t c : text) {
    if (c < 0x10000) {
      units.push_back(static_cast<UChar>(c));
    } else {
      units.push_back(U16_LEAD(c));
      units.push_back(U16_TRAIL(c));
    }
  }
  return units;
}

std::u32string FromUtf16(const UChar* units, int32_t length) {
  std::u32string text;
  text.reserve(static_cast<size_t>(length));
  for (int32_t i = 0; i < length;) {
    UChar32 c;
    U16_NEXT(units, i, length, c);
    text.push_back(static_cast<char32_t>(c));
  }
  return text;
}

using CaseMapping = int32_t (*)(UChar*, int32_t, const UChar*, int32_t,
                                const char*, UErrorCode*);

std::u32string MapCase(const std::u32string& text, CaseMapping mapping) {
  if (text.empty()) return text;
  const std::vector<UChar> source = ToUtf16(text);
  // No mapping is longer than three units for one.
  std::vector<UChar> mapped(source.size() * 3 + 1);
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length =
      mapping(mapped.data(), static_cast<int32_t>(mapped.size()), source.data(),
              static_cast<int32_t>(source.size()), /*locale=*/"", &error);
  PROMPTD_CHECK(U_SUCCESS(error));
  return FromUtf16(mapped.data(), length);
}

// `form` on what Python's Unicode version has assigned. Lives for ever.
const UNormalizer2* PythonNormalizer(const UNormalizer2* form) {
  static const USet* const assigned = [] {
    UErrorCode error = U_ZERO_ERROR;
    USet* const made = uset_openPattern(u"[:age=14.0:]", -1, &error);
    PROMPTD_CHECK(U_SUCCESS(error));
    uset_freeze(made);
    return made;
  }();
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* const made = unorm2_openFiltered(form, assigned, &error);
  PROMPTD_CHECK(U_SUCCESS(error));
  return made;
}

std::u32string Normalize(const UNormalizer2* form, const std::u32string& text) {
  const std::vector<UChar> source = ToUtf16(text);
  // No composed or compatibility form is longer than 18 units for one.
  std::vector<UChar> normal(source.size() * 18);
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length = unorm2_normalize(
      form, source.data(), static_cast<int32_t>(source.size()), normal.data(),
      static_cast<int32_t>(normal.size()), &error);
  PROMPTD_CHECK(U_SUCCESS(error));
  return FromUtf16(normal.data(), length);
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
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0 ||
         IsIn(kNewerLetters, c);
}

bool IsNumber(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0 ||
         IsIn(kNewerNumbers, c);
}

bool IsPythonSpace(char32_t c) {
  return (c >= 0x1c && c <= 0x1f) || u_isUWhiteSpace(static_cast<UChar32>(c));
}

bool IsPythonDigit(char32_t c) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] <= kPythonUnicode &&
         u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}

char32_t FromWindows1252(char32_t c) {
  constexpr char32_t kC1[32] = {
      0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
      0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
      0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
      0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};
  return kC1[c - 0x80];
}

std::u32string Nfc(const std::u32string& text) {
  // Below U+0300 nothing combines and everything is composed.
  if (std::all_of(text.begin(), text.end(),
                  [](char32_t c) { return c < 0x300; })) {
    return text;
  }
  UErrorCode error = U_ZERO_ERROR;
  static const UNormalizer2* const nfc =
      PythonNormalizer(unorm2_getNFCInstance(&error));
  return Normalize(nfc, text);
}

std::u32string Nfkc(char32_t c) {
  UErrorCode error = U_ZERO_ERROR;
  static const UNormalizer2* const nfkc =
      PythonNormalizer(unorm2_getNFKCInstance(&error));
  return Normalize(nfkc, std::u32string(1, c));
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
  return MapCase(text, u_strToLower);
}

std::u32string ToUpper(const std::u32string& text) {
  return MapCase(text, u_strToUpper);
}

}  // namespace promptd::clip

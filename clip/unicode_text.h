// Unicode text as the tokenizer needs it: strict UTF-8, the classes of its
// pattern, case with context, normal forms, and Python's idea of white space.
//
// Each answer follows the Unicode version of what it stands in for: letters
// and numbers that of the regex module, everything else that of Python 3.11,
// 14.0. ICU is 15.0 or later; what that changes is held back or added here.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace promptd::clip {

// Nothing when `bytes` is not UTF-8 (overlong forms and surrogates are not).
std::optional<std::u32string> DecodeUtf8(absl::string_view bytes);
// `text` holds Unicode scalar values only.
std::string EncodeUtf8(const std::u32string& text);

// \p{L} and \p{N} of the regex module.
bool IsLetter(char32_t c);
bool IsNumber(char32_t c);

// str.isspace(): more than Unicode's White_Space, e.g. U+001C..U+001F.
bool IsPythonSpace(char32_t c);

// \d of Python's re: str.isdecimal().
bool IsPythonDigit(char32_t c);

// What Windows-1252 has in the place of the C1 control `c`, 0x80..0x9f; `c`
// itself in the five places that it leaves empty.
char32_t FromWindows1252(char32_t c);

// unicodedata.normalize("NFC", text), and "NFKC" of one character. Code points
// newer than Unicode 14 stay as they are.
std::u32string Nfc(const std::u32string& text);
std::u32string Nfkc(char32_t c);

// " ".join(text.split()): runs of white space become one space, the ends are
// trimmed.
std::u32string CollapseWhitespace(const std::u32string& text);

// str.lower() and str.upper(): full case mapping without a language, final
// sigma included.
std::u32string ToLower(const std::u32string& text);
std::u32string ToUpper(const std::u32string& text);

}  // namespace promptd::clip

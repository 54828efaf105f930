// Unicode text as the tokenizer needs it: strict UTF-8, the classes of its
// pattern, lower case with context, and Python's idea of white space.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace promptd::clip {

// Nothing when `bytes` is not UTF-8 (overlong forms and surrogates are not).
std::optional<std::u32string> DecodeUtf8(absl::string_view bytes);
// `text` holds Unicode scalar values only.
std::string EncodeUtf8(const std::u32string& text);

bool IsLetter(char32_t c);  // \p{L}
bool IsNumber(char32_t c);  // \p{N}

// str.isspace(): more than Unicode's White_Space, e.g. U+001C..U+001F.
bool IsPythonSpace(char32_t c);

// " ".join(text.split()): runs of white space become one space, the ends are
// trimmed.
std::u32string CollapseWhitespace(const std::u32string& text);

// str.lower(): full case mapping without a language, final sigma included.
std::u32string ToLower(const std::u32string& text);

}  // namespace promptd::clip

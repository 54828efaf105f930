#include "datasets/name_rules.h"

#include <utf8proc.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace promptd::datasets {
namespace {

// The next code point of `text`, which is shortened by it; -1 when the bytes
// are not UTF-8. `text` must not be empty.
utf8proc_int32_t NextCodePoint(absl::string_view* text) {
  utf8proc_int32_t code_point = -1;
  const utf8proc_ssize_t used = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text->data()),
      static_cast<utf8proc_ssize_t>(text->size()), &code_point);
  if (used <= 0) return -1;
  text->remove_prefix(static_cast<size_t>(used));
  return code_point;
}

bool IsSpace(utf8proc_int32_t code_point) {
  if (code_point < 0x80) {
    return absl::ascii_isspace(static_cast<unsigned char>(code_point));
  }
  const utf8proc_category_t category = utf8proc_category(code_point);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP || code_point == 0x85;
}

void AppendCodePoint(utf8proc_int32_t code_point, std::string* out) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(code_point, bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

}  // namespace

bool IsDatasetName(absl::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  if (!letter_or_digit(name[0])) return false;
  for (const char c : name) {
    if (!letter_or_digit(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    if (NextCodePoint(&text) < 0) return false;
  }
  return true;
}

bool IsPlainText(absl::string_view text) {
  while (!text.empty()) {
    const utf8proc_int32_t code_point = NextCodePoint(&text);
    if (code_point < 0) return false;
    if (utf8proc_category(code_point) == UTF8PROC_CATEGORY_CC) return false;
  }
  return true;
}

std::string FoldClassName(absl::string_view name) {
  std::string folded;
  bool space_pending = false;
  while (!name.empty()) {
    const utf8proc_int32_t code_point = NextCodePoint(&name);
    if (code_point < 0) break;
    if (code_point == '_' || IsSpace(code_point)) {
      space_pending = true;
      continue;
    }
    if (space_pending && !folded.empty()) folded.push_back(' ');
    space_pending = false;
    AppendCodePoint(utf8proc_tolower(code_point), &folded);
  }
  return folded;
}

std::string PathProblem(absl::string_view path) {
  if (path.empty()) return "is empty";
  if (!IsPlainText(path)) {
    return "is not UTF-8 text without control characters";
  }
  if (path[0] == '/') return "is absolute; it must be relative";
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return "has an empty, \".\" or \"..\" part";
    }
  }
  return "";
}

}  // namespace promptd::datasets

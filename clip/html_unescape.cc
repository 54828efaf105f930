#include "clip/html_unescape.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace promptd::clip {
namespace {

constexpr char kEntities[] =
#include "clip/html_entities.inc"
    ;

using EntityTable = std::unordered_map<std::string, std::u32string>;

const EntityTable& Entities() {
  static const EntityTable* const table = [] {
    auto* made = new EntityTable();
    for (absl::string_view entry :
         absl::StrSplit(kEntities, ' ', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(entry, '=');
      std::u32string value;
      const std::vector<std::string> codes = absl::StrSplit(parts.second, ',');
      for (const std::string& hex : codes) {
        value.push_back(
            static_cast<char32_t>(std::strtoul(hex.c_str(), nullptr, 16)));
      }
      std::string name(parts.first);
      if (name[0] == '*') {
        name.erase(0, 1);
        (*made)[name] = value;
      }
      (*made)[name + ";"] = value;
    }
    return made;
  }();
  return *table;
}

// What HTML5 makes of 0x80..0x9F, which Windows-1252 fills; 0 keeps the value.
constexpr char32_t kC1[32] = {
    0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
    0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};

// Code points that a numeric reference must not produce: they vanish.
bool IsForbidden(char32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xb ||
         (code >= 0xe && code <= 0x1f) || (code >= 0x7f && code <= 0x9f) ||
         (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

std::u32string NumericReference(char32_t code) {
  if (code == 0) return U"\uFFFD";
  if (code >= 0x80 && code <= 0x9f) {
    return std::u32string(1, kC1[code - 0x80]);
  }
  if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) {
    return U"\uFFFD";
  }
  if (IsForbidden(code)) return U"";
  return std::u32string(1, code);
}

bool IsDigit(char32_t c, bool hexadecimal) {
  return c < 0x80 &&
         (hexadecimal ? absl::ascii_isxdigit(c) : absl::ascii_isdigit(c));
}

int DigitValue(char32_t c) {
  if (c <= '9') return static_cast<int>(c - '0');
  return static_cast<int>((c | 0x20) - 'a') + 10;
}

// Reads "#123;" or "#x1f;" at `at`, just after '&'. Returns its length and
// sets `out`; 0 when there is none.
size_t ReadNumeric(const std::u32string& text, size_t at, std::u32string& out) {
  size_t i = at + 1;
  const bool hexadecimal =
      i < text.size() && (text[i] == 'x' || text[i] == 'X');
  if (hexadecimal) ++i;
  const size_t digits = i;
  uint32_t code = 0;
  for (; i < text.size() && IsDigit(text[i], hexadecimal); ++i) {
    code = code * (hexadecimal ? 16 : 10) +
           static_cast<uint32_t>(DigitValue(text[i]));
    if (code > 0x110000) code = 0x110000;  // stays out of range
  }
  if (i == digits) return 0;
  if (i < text.size() && text[i] == ';') ++i;
  out = NumericReference(code);
  return i - at;
}

bool EndsName(char32_t c) {
  return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' ||
         c == '&' || c == '#' || c == ';';
}

// Reads a name of 1 to 32 characters with an optional semicolon at `at`.
// Returns how much of the text `out` stands for; 0 when there is none.
size_t ReadNamed(const std::u32string& text, size_t at, std::u32string& out) {
  constexpr size_t kLongest = 32;
  size_t end = at;
  while (end < text.size() && end - at < kLongest && !EndsName(text[end])) {
    ++end;
  }
  if (end == at) return 0;
  if (end < text.size() && text[end] == ';') ++end;
  // Entity names are ASCII: a longer prefix cannot be one.
  std::string name;
  for (size_t i = at; i < end && text[i] < 0x80; ++i) {
    name.push_back(static_cast<char>(text[i]));
  }
  for (; name.size() >= 2; name.pop_back()) {
    const auto found = Entities().find(name);
    if (found == Entities().end()) continue;
    out = found->second;
    return name.size();
  }
  return 0;
}

}  // namespace

std::u32string UnescapeHtml(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  size_t i = 0;
  while (i < text.size()) {
    std::u32string value;
    size_t length = 0;
    if (text[i] == '&' && i + 1 < text.size()) {
      length = text[i + 1] == '#' ? ReadNumeric(text, i + 1, value)
                                  : ReadNamed(text, i + 1, value);
    }
    if (length == 0) {
      result.push_back(text[i++]);
    } else {
      result += value;
      i += 1 + length;
    }
  }
  return result;
}

}  // namespace promptd::clip

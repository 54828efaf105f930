#include "clip/html_unescape.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "clip/unicode_text.h"

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

// Code points that a numeric reference must not produce: they vanish.
bool IsForbidden(char32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xb ||
         (code >= 0xe && code <= 0x1f) || (code >= 0x7f && code <= 0x9f) ||
         (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

std::u32string NumericReference(char32_t code) {
  if (code == 0) return U"\uFFFD";
  if (code >= 0x80 && code <= 0x9f) {
    return std::u32string(1, FromWindows1252(code));
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

// Names in capitals that ftfy reads too, with their semicolon: those of
// all-small names whose capitals mean nothing to HTML.
const EntityTable& CapitalEntities() {
  static const EntityTable* const table = [] {
    auto* made = new EntityTable();
    for (const auto& [name, value] : Entities()) {
      if (name.back() != ';' || name != absl::AsciiStrToLower(name)) continue;
      const std::string capitals = absl::AsciiStrToUpper(name);
      const std::u32string reference =
          U"&" + std::u32string(capitals.begin(), capitals.end());
      if (UnescapeHtml(reference) != reference) continue;
      (*made)[capitals] = ToUpper(value);
    }
    return made;
  }();
  return *table;
}

bool IsAsciiAlphanumeric(char32_t c) {
  return c < 0x80 && absl::ascii_isalnum(static_cast<unsigned char>(c));
}

// The length of what ftfy takes for a reference at the '&' at `at`: a name or
// a number of 1 to 24 letters and digits, with its semicolon. 0 without one.
size_t WholeReference(const std::u32string& text, size_t at) {
  constexpr size_t kLongest = 24;
  size_t i = at + 1;
  if (i < text.size() && text[i] == U'#') ++i;
  const size_t name = i;
  while (i < text.size() && IsAsciiAlphanumeric(text[i])) ++i;
  if (i == name || i - name > kLongest || i == text.size() || text[i] != U';') {
    return 0;
  }
  return i + 1 - at;
}

// What ftfy puts for a whole reference, "&...;"; itself when it is unknown.
std::u32string WholeReferenceValue(const std::u32string& reference) {
  if (reference[1] == U'#') {
    // A semicolon in the result was not part of the number, or is what the
    // number stands for, which ftfy does not tell apart.
    std::u32string value = UnescapeHtml(reference);
    return value.find(U';') == std::u32string::npos ? value : reference;
  }
  const std::string name(reference.begin() + 1, reference.end());
  if (const auto found = Entities().find(name); found != Entities().end()) {
    return found->second;
  }
  const auto found = CapitalEntities().find(name);
  return found == CapitalEntities().end() ? reference : found->second;
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

std::u32string UnescapeWholeEntities(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = text[i] == U'&' ? WholeReference(text, i) : 0;
    if (length == 0) {
      result.push_back(text[i++]);
    } else {
      result += WholeReferenceValue(text.substr(i, length));
      i += length;
    }
  }
  return result;
}

}  // namespace promptd::clip

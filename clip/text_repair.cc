#include "clip/text_repair.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "clip/html_unescape.h"
#include "clip/unicode_text.h"

namespace promptd::clip {
namespace {

constexpr char32_t kEscape = 0x1b;

// Letters made of two or three others; nullptr for the rest.
const char32_t* Ligature(char32_t c) {
  switch (c) {
    // clang-format off
    case 0x132: return U"IJ";
    case 0x133: return U"ij";
    case 0x149: return U"\u02bcn";
    case 0x1c4: return U"D\u017d";
    case 0x1c5: return U"D\u017e";
    case 0x1c6: return U"d\u017e";
    case 0x1c7: return U"LJ";
    case 0x1c8: return U"Lj";
    case 0x1c9: return U"lj";
    case 0x1ca: return U"NJ";
    case 0x1cb: return U"Nj";
    case 0x1cc: return U"nj";
    case 0x1f1: return U"DZ";
    case 0x1f2: return U"Dz";
    case 0x1f3: return U"dz";
    case 0xfb00: return U"ff";
    case 0xfb01: return U"fi";
    case 0xfb02: return U"fl";
    case 0xfb03: return U"ffi";
    case 0xfb04: return U"ffl";
    case 0xfb05: return U"\u017ft";
    case 0xfb06: return U"st";
    default: return nullptr;
      // clang-format on
  }
}

// Full-width and half-width forms have a compatibility decomposition, except
// for a few that stand for themselves.
bool HasWidth(char32_t c) { return c >= 0xff01 && c <= 0xffef; }

char32_t UncurlQuote(char32_t c) {
  if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b)) return U'\'';
  if (c >= 0x201c && c <= 0x201f) return U'"';
  return c;
}

// The steps that look at one character at a time, in ftfy's order: C1
// controls, ligatures, widths, quotes.
std::u32string RepairCharacters(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (char32_t c : text) {
    if (c >= 0x80 && c <= 0x9f) c = FromWindows1252(c);
    if (const char32_t* letters = Ligature(c); letters != nullptr) {
      for (; *letters != 0; ++letters) result.push_back(UncurlQuote(*letters));
    } else if (HasWidth(c)) {
      result += Nfkc(c);
    } else {
      result.push_back(c == 0x3000 ? U' ' : UncurlQuote(c));
    }
  }
  return result;
}

// "\r\n" and the separators become "\n". U+0085 is "..." by now.
std::u32string RepairLineBreaks(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == U'\r') {
      if (i + 1 < text.size() && text[i + 1] == U'\n') ++i;
      result.push_back(U'\n');
    } else {
      const bool separator = text[i] == 0x2028 || text[i] == 0x2029;
      result.push_back(separator ? U'\n' : text[i]);
    }
  }
  return result;
}

// The length of the escape sequence (ESC [ 31;1 m) at `at`; 0 without one.
size_t TerminalEscape(const std::u32string& text, size_t at) {
  if (text[at] != kEscape || at + 1 >= text.size() || text[at + 1] != U'[') {
    return 0;
  }
  size_t i = at + 2;
  while (i < text.size() && (text[i] == U';' || IsPythonDigit(text[i]))) ++i;
  if (i >= text.size() || text[i] > 0x7f || !absl::ascii_isalpha(text[i])) {
    return 0;
  }
  return i + 1 - at;
}

// Controls that show nothing. Tab, form feed and line ends stay, joiners and
// directions too.
bool IsUnwantedControl(char32_t c) {
  return c <= 0x8 || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f ||
         (c >= 0x206a && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffc);
}

// All escapes first: what their removal joins is no new escape.
std::u32string RemoveControls(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (const size_t length = TerminalEscape(text, i); length > 0) {
      i += length;
      continue;
    }
    if (!IsUnwantedControl(text[i])) result.push_back(text[i]);
    ++i;
  }
  return result;
}

// ftfy repeats its steps until none changes anything, so that what one of them
// uncovers is repaired too.
std::u32string RepairLine(std::u32string line, bool unescape) {
  while (true) {
    std::u32string fixed = unescape ? UnescapeWholeEntities(line) : line;
    fixed = RepairCharacters(fixed);
    fixed = Nfc(RemoveControls(RepairLineBreaks(fixed)));
    if (fixed == line) return fixed;
    line = std::move(fixed);
  }
}

}  // namespace

std::u32string RepairText(const std::u32string& text) {
  std::u32string result;
  result.reserve(text.size());
  // From the first line with a "<" on, the text is HTML itself and its
  // references stay; open_clip resolves them afterwards all the same.
  bool unescape = true;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(U'\n', at), text.size() - 1) + 1;
    std::u32string line = text.substr(at, end - at);
    if (line.find(U'<') != std::u32string::npos) unescape = false;
    result += RepairLine(std::move(line), unescape);
    at = end;
  }
  return result;
}

}  // namespace promptd::clip

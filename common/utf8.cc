#include "common/utf8.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace promptd {
namespace {

// Length of the UTF-8 character that starts `text`; 0 if there is none.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [&text](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  size_t length = 0;
  if (byte(0) < 0x80) {
    length = 1;
  } else if (byte(0) >= 0xC2 && byte(0) < 0xE0) {
    length = 2;
  } else if (byte(0) >= 0xE0 && byte(0) < 0xF0) {
    length = 3;
  } else if (byte(0) >= 0xF0 && byte(0) < 0xF5) {
    length = 4;
  }
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (length == 3 && ((byte(0) == 0xE0 && byte(1) < 0xA0) ||
                      (byte(0) == 0xED && byte(1) > 0x9F))) {
    return 0;
  }
  if (length == 4 && ((byte(0) == 0xF0 && byte(1) < 0x90) ||
                      (byte(0) == 0xF4 && byte(1) > 0x8F))) {
    return 0;
  }
  return length;
}

}  // namespace

std::string TruncateUtf8(absl::string_view text, size_t max_bytes) {
  std::string out;
  size_t cut = 0;  // where "..." still fits
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = CharacterLength(text.substr(i));
    const absl::string_view piece =
        length == 0 ? absl::string_view("?") : text.substr(i, length);
    if (out.size() + piece.size() > max_bytes) {
      return out.substr(0, cut) + "...";
    }
    absl::StrAppend(&out, piece);
    if (out.size() + 3 <= max_bytes) cut = out.size();
    i += std::max<size_t>(length, 1);
  }
  return out;
}

}  // namespace promptd

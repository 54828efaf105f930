// For names out of a hostile file: printable and short.
#pragma once

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace promptd::weights {

// The first 80 bytes of `text`, escaped and in quotes.
inline std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, 80)), "\"");
}

}  // namespace promptd::weights

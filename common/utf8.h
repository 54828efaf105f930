// Text that must be UTF-8 and short. Thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace promptd {

// The first at most `max_bytes` bytes of UTF-8 text, ending in "..." when cut
// and never inside a character. Bytes that are not UTF-8 become "?".
std::string TruncateUtf8(absl::string_view text, size_t max_bytes);

}  // namespace promptd

// HTML character references replaced by their characters, exactly as Python's
// html.unescape does: named ones, with and without semicolon, the longest
// known prefix of an unknown name, numeric ones with HTML5's corrections.
#pragma once

#include <string>

namespace promptd::clip {

// One pass. Never fails; never longer than a small multiple of the input.
// Thread-safe.
std::u32string UnescapeHtml(const std::u32string& text);

}  // namespace promptd::clip

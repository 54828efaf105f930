// HTML character references replaced by their characters.
#pragma once

#include <string>

namespace promptd::clip {

// Both make one pass, never fail and give at most a small multiple of the
// input. Thread-safe.

// Python's html.unescape: named references, with and without semicolon, the
// longest known prefix of an unknown name, numeric ones with HTML5's
// corrections.
std::u32string UnescapeHtml(const std::u32string& text);

// ftfy's unescape_html: only what ends in a semicolon and has at most 24
// letters and digits, also names in capitals ("&EACUTE;"), where HTML leaves
// them free.
std::u32string UnescapeWholeEntities(const std::u32string& text);

}  // namespace promptd::clip

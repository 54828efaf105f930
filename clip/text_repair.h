// The repairs of characters that open_clip's tokenizer makes first: what
// ftfy.fix_text (6.3.1, default settings) does to text that was decoded with
// the right encoding. HTML character references, Windows-1252's characters in
// C1 places, Latin ligatures, full-width and half-width forms, curly quotes,
// line breaks, terminal escapes, control characters, then NFC; line by line,
// each until nothing changes.
//
// Left out is ftfy's fix_encoding, which guesses that text was decoded with
// the wrong encoding (UTF-8 as Latin-1, say) and decodes it again. The results
// differ for the texts that it changes in another way than by reading C1
// controls as Windows-1252, and for no others; docs/parity.md says how often
// that is. Lone surrogates, which ftfy repairs too, cannot occur in UTF-8.
#pragma once

#include <string>

namespace promptd::clip {

// Takes and gives Unicode scalar values; at most three times as long. Costs
// one pass a level of nested references ("&amp;amp;"). Never fails.
// Thread-safe.
std::u32string RepairText(const std::u32string& text);

}  // namespace promptd::clip

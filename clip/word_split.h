// CLIP's splitting of clean text into the words that are encoded one by one.
#pragma once

#include <string>
#include <vector>

namespace promptd::clip {

// What re.findall gives for CLIP's pattern, ignoring case, on lower-case text:
//   <start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|
//   [\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
// Thread-safe.
std::vector<std::u32string> SplitWords(const std::u32string& text);

}  // namespace promptd::clip

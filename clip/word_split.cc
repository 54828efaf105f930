#include "clip/word_split.h"

#include "clip/unicode_text.h"

namespace promptd::clip {
namespace {

// In the order of the pattern's alternatives.
constexpr const char32_t* kFixedWords[] = {U"<start_of_text>",
                                           U"<end_of_text>",
                                           U"'s",
                                           U"'t",
                                           U"'re",
                                           U"'ve",
                                           U"'m",
                                           U"'ll",
                                           U"'d"};

// Ignoring case, the long s is an s even in text that is lower case already.
char32_t Fold(char32_t c) { return c == 0x17f ? U's' : c; }

// How much of the text at `at` is one of the fixed words; 0 when it is none.
size_t FixedWord(const std::u32string& text, size_t at) {
  for (const char32_t* word : kFixedWords) {
    size_t i = 0;
    while (word[i] != 0 && at + i < text.size() &&
           Fold(text[at + i]) == word[i]) {
      ++i;
    }
    if (word[i] == 0) return i;
  }
  return 0;
}

// Neither space, letter nor number. U+0345 is a mark, but ignoring case it is
// an iota, so the pattern's negated class does not take it, nor does any other.
bool IsOther(char32_t c) {
  return !IsPythonSpace(c) && !IsLetter(c) && !IsNumber(c) && c != 0x345;
}

}  // namespace

std::vector<std::u32string> SplitWords(const std::u32string& text) {
  std::vector<std::u32string> words;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at + FixedWord(text, at);
    if (end == at && IsNumber(text[at])) {
      ++end;
    } else if (end == at && IsLetter(text[at])) {
      while (end < text.size() && IsLetter(text[end])) ++end;
    } else if (end == at) {
      while (end < text.size() && IsOther(text[end])) ++end;
    }
    if (end == at) {
      ++at;  // matched by nothing
      continue;
    }
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace promptd::clip

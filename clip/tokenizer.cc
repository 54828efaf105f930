#include "clip/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clip/html_unescape.h"
#include "clip/text_repair.h"
#include "clip/unicode_text.h"
#include "clip/word_split.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::clip {
namespace {

constexpr char kWordEnd[] = "</w>";
constexpr char kStartOfText[] = "<start_of_text>";
constexpr char kEndOfText[] = "<end_of_text>";

// CLIP's alphabet: printable Latin-1 bytes stand for themselves, the others
// for U+0100 and up. In order of ids; gives (byte, its character).
std::vector<std::pair<unsigned char, char32_t>> ByteAlphabet() {
  std::vector<std::pair<unsigned char, char32_t>> alphabet;
  std::vector<unsigned char> others;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') ||
                           (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    if (printable) {
      alphabet.push_back(
          {static_cast<unsigned char>(byte), static_cast<char32_t>(byte)});
    } else {
      others.push_back(static_cast<unsigned char>(byte));
    }
  }
  for (size_t i = 0; i < others.size(); ++i) {
    alphabet.push_back({others[i], static_cast<char32_t>(256 + i)});
  }
  return alphabet;
}

// The id of each byte inside a word; plus 256 at its end.
const std::array<int32_t, 256>& ByteIds() {
  static const std::array<int32_t, 256> ids = [] {
    std::array<int32_t, 256> made{};
    const auto alphabet = ByteAlphabet();
    for (size_t i = 0; i < alphabet.size(); ++i) {
      made[alphabet[i].first] = static_cast<int32_t>(i);
    }
    return made;
  }();
  return ids;
}

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

absl::Status BadMerges(int line, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_MERGES",
                   absl::StrCat("merges.txt line ", line, ": ", what));
}

absl::Status TextTooLong(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "TEXT_TOO_LONG",
                   absl::StrCat(what, ": shorten it"));
}

}  // namespace

absl::StatusOr<Tokenizer> Tokenizer::FromMerges(absl::string_view merges) {
  Tokenizer tokenizer;
  for (const char* ending : {"", kWordEnd}) {
    for (const auto& [byte, character] : ByteAlphabet()) {
      tokenizer.texts_.push_back(
          absl::StrCat(EncodeUtf8(std::u32string(1, character)), ending));
    }
  }
  for (size_t id = 0; id < tokenizer.texts_.size(); ++id) {
    tokenizer.ids_[tokenizer.texts_[id]] = static_cast<int32_t>(id);
  }
  int line_number = 0;
  bool ended = false;
  for (absl::string_view line : absl::StrSplit(merges, '\n')) {
    if (++line_number == 1) continue;  // the header
    if (ended) return BadMerges(line_number - 1, "is empty");
    ended = line.empty();
    if (!ended) RETURN_IF_ERROR(tokenizer.AddMerge(line, line_number));
  }
  if (tokenizer.merges_.empty()) return BadMerges(line_number, "no merges");
  tokenizer.texts_.push_back(kStartOfText);
  tokenizer.texts_.push_back(kEndOfText);
  return tokenizer;
}

absl::Status Tokenizer::AddMerge(absl::string_view line, int line_number) {
  const std::vector<std::string> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 2) {
    return BadMerges(line_number, "is not two symbols");
  }
  const auto left = ids_.find(parts[0]);
  const auto right = ids_.find(parts[1]);
  if (left == ids_.end() || right == ids_.end() ||
      absl::EndsWith(parts[0], kWordEnd)) {
    return BadMerges(line_number, "joins a symbol that no earlier line makes");
  }
  // Every symbol has one spelling and every pair one rank, so that ids can
  // stand for spellings.
  const int32_t id = static_cast<int32_t>(texts_.size());
  std::string text = parts[0] + parts[1];
  const uint64_t pair = PairKey(left->second, right->second);
  if (!ids_.emplace(text, id).second) {
    return BadMerges(line_number, "makes a symbol that is there already");
  }
  merges_.emplace(pair, Merge{id - 512, id});
  texts_.push_back(std::move(text));
  return absl::OkStatus();
}

const Tokenizer::Merge* Tokenizer::FindMerge(int32_t left,
                                             int32_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

// The loop of CLIP's bpe(): join every occurrence of the best pair, from left
// to right, until no pair is known. ranks[i] belongs to (ids[i], ids[i + 1]),
// so that finding the best pair is one pass over integers.
void Tokenizer::AppendWord(absl::string_view word,
                           std::vector<int32_t>& ids) const {
  constexpr int32_t kNone = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  for (char byte : word) {
    symbols.push_back(ByteIds()[static_cast<unsigned char>(byte)]);
  }
  symbols.back() += 256;
  const auto rank = [&](size_t i) {
    const Merge* merge = FindMerge(symbols[i], symbols[i + 1]);
    return merge == nullptr ? kNone : merge->rank;
  };
  std::vector<int32_t> ranks(symbols.size(), kNone);
  for (size_t i = 0; i + 1 < symbols.size(); ++i) ranks[i] = rank(i);
  while (symbols.size() > 1) {
    int32_t best = kNone;
    for (int32_t candidate : ranks) best = std::min(best, candidate);
    if (best == kNone) break;
    size_t out = 0;
    std::vector<size_t> joined;
    for (size_t i = 0; i < symbols.size(); ++i, ++out) {
      if (ranks[i] == best) {
        symbols[out] = best + 512;
        ranks[out] = ranks[i + 1];
        joined.push_back(out);
        ++i;
      } else {
        symbols[out] = symbols[i];
        ranks[out] = ranks[i];
      }
    }
    symbols.resize(out);
    ranks.resize(out);
    for (size_t at : joined) {
      if (at > 0) ranks[at - 1] = rank(at - 1);
      ranks[at] = at + 1 < out ? rank(at) : kNone;
    }
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(
    absl::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    return TextTooLong(absl::StrCat("a text of ", text.size(),
                                    " bytes; the limit is ", kMaxTextBytes));
  }
  const std::optional<std::u32string> decoded = DecodeUtf8(text);
  if (!decoded) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_UTF8",
                     "a text is not valid UTF-8: send it as UTF-8");
  }
  const std::u32string clean = ToLower(
      CollapseWhitespace(UnescapeHtml(UnescapeHtml(RepairText(*decoded)))));
  std::vector<int32_t> ids;
  for (const std::u32string& word : SplitWords(clean)) {
    const std::string bytes = EncodeUtf8(word);
    if (bytes == kStartOfText) {
      ids.push_back(sot_id());
    } else if (bytes == kEndOfText) {
      ids.push_back(eot_id());
    } else {
      AppendWord(bytes, ids);
    }
  }
  return ids;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeWithMarkers(
    absl::string_view text, int context_length, TooLong too_long) const {
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, Encode(text));
  std::vector<int32_t> tokens;
  tokens.reserve(ids.size() + 2);
  tokens.push_back(sot_id());
  for (int32_t id : ids) {
    if (id >= sot_id()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "RESERVED_TEXT",
                       absl::StrCat("a text contains the tokenizer's own ",
                                    texts_[id], ": remove it"));
    }
    tokens.push_back(id);
  }
  tokens.push_back(eot_id());
  const size_t most = static_cast<size_t>(context_length);
  if (tokens.size() > most) {
    if (too_long == TooLong::kRefuse) {
      return TextTooLong(
          absl::StrCat("a text of ", tokens.size(),
                       " tokens with its start and end; the limit is ", most));
    }
    tokens.resize(most);
    tokens.back() = eot_id();
  }
  return tokens;
}

std::string Tokenizer::Decode(const std::vector<int32_t>& ids) const {
  static const auto* const bytes = [] {
    auto* made = new std::unordered_map<char32_t, char>();
    for (const auto& [byte, character] : ByteAlphabet()) {
      (*made)[character] = static_cast<char>(byte);
    }
    return made;
  }();
  std::string result;
  for (int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) continue;
    absl::string_view text = texts_[id];
    const bool ends_word = absl::EndsWith(text, kWordEnd);
    if (ends_word) text.remove_suffix(sizeof(kWordEnd) - 1);
    const std::optional<std::u32string> characters = DecodeUtf8(text);
    for (char32_t character : characters.value_or(U"")) {
      result.push_back(bytes->at(character));
    }
    if (ends_word) result.push_back(' ');
  }
  return result;
}

}  // namespace promptd::clip

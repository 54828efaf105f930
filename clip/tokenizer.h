// CLIP's byte-pair tokenizer, id for id what open_clip's SimpleTokenizer
// gives, ftfy's repairs of characters included. The exception is text that was
// decoded with the wrong encoding (UTF-8 as Latin-1, say), which ftfy decodes
// again: clip/text_repair.h says which that is. No torch.
//
//   ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::FromMerges(text));
//   ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
//                    tokenizer.EncodeWithMarkers("a photo of a cat.", 77));
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::clip {

// What becomes of a text with more tokens than the encoder reads.
enum class TooLong { kRefuse, kCut };

// Ids: 256 bytes, the same 256 ending a word, one per merge, start of text
// (SOT), end of text (EOT). Immutable after construction, hence thread-safe.
class Tokenizer {
 public:
  // A text longer than this cannot be a prompt.
  static constexpr size_t kMaxTextBytes = 4096;

  // `merges` is a header line, then "left right" on each line, best first.
  // INVALID_ARGUMENT (BAD_MERGES) names the line.
  static absl::StatusOr<Tokenizer> FromMerges(absl::string_view merges);

  // Cleans the text (characters repaired, HTML unescaped twice, white space
  // collapsed, lower case) and splits it into ids, without SOT and EOT. The
  // text "<end_of_text>" is one id, as in open_clip. INVALID_ARGUMENT
  // (BAD_UTF8, TEXT_TOO_LONG).
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text) const;

  // SOT, the text's ids, EOT; at most `context_length` of them. A longer text
  // is refused, or cut as open_clip does: its last token becomes EOT. Refuses
  // a text that contains SOT or EOT itself: it would end its own prompt.
  // INVALID_ARGUMENT (BAD_UTF8, TEXT_TOO_LONG, RESERVED_TEXT).
  absl::StatusOr<std::vector<int32_t>> EncodeWithMarkers(
      absl::string_view text, int context_length,
      TooLong too_long = TooLong::kRefuse) const;

  // The text of ids, words separated by spaces; ids out of range are left
  // out. What is not UTF-8 stays as bytes.
  std::string Decode(const std::vector<int32_t>& ids) const;

  // One id as the vocabulary writes it: bytes in CLIP's printable alphabet,
  // "</w>" where a word ends. `id` is in [0, vocab_size()).
  const std::string& TokenText(int32_t id) const { return texts_.at(id); }

  int vocab_size() const { return static_cast<int>(texts_.size()); }
  int32_t sot_id() const { return vocab_size() - 2; }
  int32_t eot_id() const { return vocab_size() - 1; }

 private:
  struct Merge {
    int32_t rank;
    int32_t merged;  // id
  };

  Tokenizer() = default;
  absl::Status AddMerge(absl::string_view line, int line_number);
  // Appends the ids of one word of the cleaned text, given as UTF-8.
  void AppendWord(absl::string_view word, std::vector<int32_t>& ids) const;
  const Merge* FindMerge(int32_t left, int32_t right) const;

  std::vector<std::string> texts_;  // by id, in CLIP's printable alphabet
  std::unordered_map<std::string, int32_t> ids_;  // by text
  std::unordered_map<uint64_t, Merge> merges_;    // by pair of ids
};

}  // namespace promptd::clip

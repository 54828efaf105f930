// Where each class's own tokens lie once all classes are packed into one
// matrix. No torch.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::clip {

// A tokenised text: SOT ... EOT, with or without padding behind.
using TokenRow = std::vector<int32_t>;

// Index of EOT: the first occurrence of the row's largest id, as CLIP reads
// it. The row must not be empty.
int64_t EotIndex(const TokenRow& row);

// Number of leading tokens that all rows share, cut before the first EOT.
int64_t SharedPrefix(const std::vector<TokenRow>& rows);

// Consecutive packed rows of `count` classes with `length` tokens each.
struct LengthGroup {
  int64_t length = 0;
  int64_t count = 0;
  int64_t first_row = 0;
  int64_t first_slot = 0;  // of its classes within the chunk
};

// Classes that go through the tower together, shortest first. The suffix of a
// class is its tokens behind the shared prefix, EOT included, nothing after.
struct PromptChunk {
  std::vector<int64_t> classes;  // class of each slot
  std::vector<LengthGroup> groups;
  std::vector<int64_t> token_ids;  // [rows]
  std::vector<int64_t> positions;  // [rows], index into the text
  std::vector<int64_t> eot_rows;   // [classes]

  int64_t rows() const { return static_cast<int64_t>(token_ids.size()); }
};

struct PromptLayout {
  int64_t classes = 0;
  int64_t prefix = 0;  // P, shared leading tokens
  std::vector<PromptChunk> chunks;
};

// Packs the suffixes of `rows` behind a prefix of `prefix` tokens into chunks
// of at most `max_chunk_rows` rows (one class at least; the prefix counts in
// the first). INVALID_ARGUMENT: EMPTY_LABELS; PROMPT_TOO_LONG when a text
// needs more than `context_length` tokens; BAD_TOKEN_ROW when EOT lies inside
// the prefix. Thread-safe.
absl::StatusOr<PromptLayout> MakePromptLayout(const std::vector<TokenRow>& rows,
                                              int64_t prefix,
                                              int64_t context_length,
                                              int64_t max_chunk_rows);

}  // namespace promptd::clip

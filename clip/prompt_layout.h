// Where each class's own tokens lie once all classes are packed into one
// matrix. No torch.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "clip/prompt_text.h"

namespace promptd::clip {

// Number of leading items that all texts share, cut before the first EOT.
int64_t SharedPrefix(const std::vector<PromptText>& texts);

// Consecutive packed runs of `count` classes: `lead` constant items, which are
// not rows, then `length` rows each.
struct LengthGroup {
  int64_t length = 0;
  int64_t lead = 0;
  int64_t count = 0;
  int64_t first_row = 0;
  int64_t first_slot = 0;  // of its classes within the chunk
};

// Classes that go through the tower together, shortest first. A class's run is
// its items behind the shared prefix and its lead, EOT included.
struct PromptChunk {
  std::vector<int64_t> classes;  // class of each slot
  std::vector<LengthGroup> groups;
  std::vector<PromptItem> items;   // [rows]
  std::vector<int64_t> positions;  // [rows], index into the text
  std::vector<int64_t> eot_rows;   // [classes]
  // The leads, group by group and class by class.
  std::vector<PromptItem> lead_items;
  std::vector<int64_t> lead_positions;

  int64_t rows() const { return static_cast<int64_t>(items.size()); }
};

struct PromptLayout {
  int64_t classes = 0;
  PromptText prefix;  // P items that all classes share
  // Nothing learned stands in the prefix, though texts have a context: its
  // keys and values are constants. Then every class has a lead of its own: the
  // items up to its first learned one, which are constants too.
  bool constant_prefix = false;
  std::vector<PromptChunk> chunks;
};

// Packs texts behind what they share into chunks of at most `max_chunk_rows`
// rows (one class at least; a prefix that is not constant counts in the
// first). INVALID_ARGUMENT: EMPTY_LABELS; PROMPT_TOO_LONG when a text needs
// more than `context_length` tokens; BAD_TOKEN_ROW when one is empty or does
// not end in a token. Thread-safe.
absl::StatusOr<PromptLayout> MakePromptLayout(
    const std::vector<PromptText>& texts, int64_t context_length,
    int64_t max_chunk_rows);

}  // namespace promptd::clip

// A text as the packed tower reads it: tokens, some of which a learned context
// replaces. No torch.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/training_options.h"

namespace promptd::clip {

// A tokenised text: SOT ... EOT, with or without padding behind.
using TokenRow = std::vector<int32_t>;

// Index of EOT: the first occurrence of the row's largest id, as CLIP reads
// it. The row must not be empty.
int64_t EotIndex(const TokenRow& row);

struct PromptItem {
  int32_t token = 0;
  int64_t context = -1;  // row of the context that stands here; -1: the token

  bool learned() const { return context >= 0; }
  friend bool operator==(const PromptItem&, const PromptItem&) = default;
};

// SOT ... EOT, nothing behind.
using PromptText = std::vector<PromptItem>;

// A text in which nothing is learned; empty for an empty row.
PromptText FixedText(const TokenRow& row);

// How CoOp puts a context of `tokens` vectors and a class name together
// (PromptLearner.forward of the authors' trainers/coop.py):
//   end     SOT, context, name, ".", EOT
//   middle  SOT, first tokens/2 of the context, name, the others, ".", EOT
//   front   SOT, name, context, ".", EOT
struct ContextPlace {
  int64_t tokens = 0;  // M
  ClassPosition position = ClassPosition::kEnd;
  int64_t first_row = 0;  // of the context parameter
};

// `row` is the tokenised "<M placeholders> <name>.", of which the name alone
// has `name_tokens`. Where the full stop is one token with the name's last
// character, it stays with the name. INVALID_ARGUMENT (BAD_TOKEN_ROW) when EOT
// lies inside the context.
absl::StatusOr<PromptText> ArrangePrompt(const TokenRow& row,
                                         int64_t name_tokens,
                                         const ContextPlace& place);

}  // namespace promptd::clip

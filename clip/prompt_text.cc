#include "clip/prompt_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::clip {
namespace {

// How many of the context's vectors stand before the name.
int64_t BeforeName(const ContextPlace& place) {
  switch (place.position) {
    case ClassPosition::kEnd:
      return place.tokens;
    case ClassPosition::kMiddle:
      return place.tokens / 2;
    case ClassPosition::kFront:
      return 0;
  }
  return place.tokens;
}

}  // namespace

int64_t EotIndex(const TokenRow& row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

PromptText FixedText(const TokenRow& row) {
  PromptText text;
  if (row.empty()) return text;
  const int64_t end = EotIndex(row) + 1;
  text.reserve(end);
  for (int64_t i = 0; i < end; ++i) text.push_back({row[i]});
  return text;
}

absl::StatusOr<PromptText> ArrangePrompt(const TokenRow& row,
                                         int64_t name_tokens,
                                         const ContextPlace& place) {
  const PromptText plain = FixedText(row);
  const int64_t first_name = 1 + place.tokens;
  const int64_t eot = static_cast<int64_t>(plain.size()) - 1;
  if (eot < first_name) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TOKEN_ROW",
                     absl::StrCat("a text ends at token ", eot,
                                  ", inside its context of ", place.tokens));
  }
  const int64_t behind_name = std::min(first_name + name_tokens, eot);
  PromptText text = {plain[0]};
  const auto add_context = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      text.push_back({.context = place.first_row + i});
    }
  };
  const int64_t before = BeforeName(place);
  add_context(0, before);
  text.insert(text.end(), plain.begin() + first_name,
              plain.begin() + behind_name);
  add_context(before, place.tokens);
  text.insert(text.end(), plain.begin() + behind_name, plain.end());
  return text;
}

}  // namespace promptd::clip

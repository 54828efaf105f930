#include "clip/prompt_layout.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::clip {
namespace {

absl::Status CheckRow(const TokenRow& row, int64_t index, int64_t prefix,
                      int64_t context_length) {
  if (row.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TOKEN_ROW",
                     absl::StrCat("text ", index, " has no tokens"));
  }
  const int64_t eot = EotIndex(row);
  if (eot >= context_length) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG",
        absl::StrCat("text ", index, " needs ", eot + 1, " tokens and the ",
                     "encoder reads ", context_length,
                     ": shorten the class name or use fewer context tokens"));
  }
  if (eot < prefix) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TOKEN_ROW",
                     absl::StrCat("text ", index, " ends at token ", eot,
                                  ", inside the shared prefix of ", prefix));
  }
  return absl::OkStatus();
}

void Append(const TokenRow& row, int64_t class_index, int64_t prefix,
            PromptChunk* chunk) {
  const int64_t end = EotIndex(row) + 1;
  const int64_t length = end - prefix;
  if (chunk->groups.empty() || chunk->groups.back().length != length) {
    chunk->groups.push_back({length, 0, chunk->rows(),
                             static_cast<int64_t>(chunk->classes.size())});
  }
  ++chunk->groups.back().count;
  chunk->classes.push_back(class_index);
  for (int64_t position = prefix; position < end; ++position) {
    chunk->token_ids.push_back(row[position]);
    chunk->positions.push_back(position);
  }
  chunk->eot_rows.push_back(chunk->rows() - 1);
}

}  // namespace

int64_t EotIndex(const TokenRow& row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

int64_t SharedPrefix(const std::vector<TokenRow>& rows) {
  if (rows.empty()) return 0;
  int64_t shared = EotIndex(rows[0]);
  for (const TokenRow& row : rows) {
    shared = std::min(shared, EotIndex(row));
    const auto mismatch =
        std::mismatch(row.begin(), row.begin() + shared, rows[0].begin());
    shared = mismatch.first - row.begin();
  }
  return shared;
}

absl::StatusOr<PromptLayout> MakePromptLayout(const std::vector<TokenRow>& rows,
                                              int64_t prefix,
                                              int64_t context_length,
                                              int64_t max_chunk_rows) {
  if (rows.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "EMPTY_LABELS",
                     "no class names: give at least one");
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    RETURN_IF_ERROR(
        CheckRow(rows[i], static_cast<int64_t>(i), prefix, context_length));
  }
  std::vector<int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return EotIndex(rows[a]) < EotIndex(rows[b]);
  });

  PromptLayout layout;
  layout.classes = static_cast<int64_t>(rows.size());
  layout.prefix = prefix;
  layout.chunks.emplace_back();
  int64_t room = max_chunk_rows - prefix;
  for (const int64_t class_index : order) {
    const int64_t length = EotIndex(rows[class_index]) + 1 - prefix;
    if (length > room && !layout.chunks.back().classes.empty()) {
      layout.chunks.emplace_back();
      room = max_chunk_rows;
    }
    Append(rows[class_index], class_index, prefix, &layout.chunks.back());
    room -= length;
  }
  return layout;
}

}  // namespace promptd::clip

#include "clip/prompt_layout.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::clip {
namespace {

absl::Status CheckText(const PromptText& text, int64_t index,
                       int64_t context_length) {
  if (text.empty() || text.back().learned()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TOKEN_ROW",
                     absl::StrCat("text ", index, " has no token at its end"));
  }
  if (static_cast<int64_t>(text.size()) > context_length) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG",
        absl::StrCat("text ", index, " needs ", text.size(), " tokens and the ",
                     "encoder reads ", context_length,
                     ": shorten the class name or use fewer context tokens"));
  }
  return absl::OkStatus();
}

int64_t FirstLearned(const PromptText& text) {
  const auto first =
      std::find_if(text.begin(), text.end(),
                   [](const PromptItem& item) { return item.learned(); });
  return first - text.begin();
}

// Which of a text's items are its lead and its run: [prefix, run) and
// [run, size).
struct Run {
  int64_t class_index = 0;
  int64_t begin = 0;  // of the lead
  int64_t run = 0;
  int64_t end = 0;

  int64_t lead() const { return run - begin; }
  int64_t length() const { return end - run; }
};

void Append(const PromptText& text, const Run& run, PromptChunk* chunk) {
  const LengthGroup group = {run.length(), run.lead(), 0, chunk->rows(),
                             static_cast<int64_t>(chunk->classes.size())};
  if (chunk->groups.empty() || chunk->groups.back().length != group.length ||
      chunk->groups.back().lead != group.lead) {
    chunk->groups.push_back(group);
  }
  ++chunk->groups.back().count;
  chunk->classes.push_back(run.class_index);
  for (int64_t position = run.begin; position < run.run; ++position) {
    chunk->lead_items.push_back(text[position]);
    chunk->lead_positions.push_back(position);
  }
  for (int64_t position = run.run; position < run.end; ++position) {
    chunk->items.push_back(text[position]);
    chunk->positions.push_back(position);
  }
  chunk->eot_rows.push_back(chunk->rows() - 1);
}

// In the order in which they are packed: equal shapes side by side.
std::vector<Run> RunsOf(const std::vector<PromptText>& texts, int64_t prefix,
                        bool leads) {
  std::vector<Run> runs;
  for (size_t i = 0; i < texts.size(); ++i) {
    const int64_t size = static_cast<int64_t>(texts[i].size());
    const int64_t run =
        leads ? std::min(FirstLearned(texts[i]), size - 1) : prefix;
    runs.push_back({static_cast<int64_t>(i), prefix, run, size});
  }
  std::stable_sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
    return std::pair(a.length(), a.lead()) < std::pair(b.length(), b.lead());
  });
  return runs;
}

}  // namespace

int64_t SharedPrefix(const std::vector<PromptText>& texts) {
  if (texts.empty()) return 0;
  int64_t shared = static_cast<int64_t>(texts[0].size()) - 1;
  for (const PromptText& text : texts) {
    shared = std::min(shared, static_cast<int64_t>(text.size()) - 1);
    const auto mismatch =
        std::mismatch(text.begin(), text.begin() + shared, texts[0].begin());
    shared = mismatch.first - text.begin();
  }
  return shared;
}

absl::StatusOr<PromptLayout> MakePromptLayout(
    const std::vector<PromptText>& texts, int64_t context_length,
    int64_t max_chunk_rows) {
  if (texts.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "EMPTY_LABELS",
                     "no class names: give at least one");
  }
  bool learned = false;
  for (size_t i = 0; i < texts.size(); ++i) {
    RETURN_IF_ERROR(
        CheckText(texts[i], static_cast<int64_t>(i), context_length));
    learned |= FirstLearned(texts[i]) < static_cast<int64_t>(texts[i].size());
  }
  const int64_t prefix = SharedPrefix(texts);
  PromptLayout layout;
  layout.classes = static_cast<int64_t>(texts.size());
  layout.prefix.assign(texts[0].begin(), texts[0].begin() + prefix);
  layout.constant_prefix = learned && FirstLearned(layout.prefix) == prefix;
  layout.chunks.emplace_back();
  int64_t room = max_chunk_rows - (layout.constant_prefix ? 0 : prefix);
  for (const Run& run : RunsOf(texts, prefix, layout.constant_prefix)) {
    if (run.length() > room && !layout.chunks.back().classes.empty()) {
      layout.chunks.emplace_back();
      room = max_chunk_rows;
    }
    Append(texts[run.class_index], run, &layout.chunks.back());
    room -= run.length();
  }
  return layout;
}

}  // namespace promptd::clip

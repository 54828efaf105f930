#include "worker/prompt_check.h"

#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/class_text.h"

namespace promptd::worker {

absl::StatusOr<PromptCheck> CountPromptTokens(
    const clip::Encoder& encoder, int context_tokens,
    const std::string& context_init,
    const std::vector<std::string>& class_names) {
  constexpr int kMarkers = 2;  // SOT and EOT
  PromptCheck check;
  if (!context_init.empty()) {
    ASSIGN_OR_RETURN(
        const std::vector<int32_t> words,
        encoder.tokenizer().Encode(learners::ClassText(context_init)));
    check.init_tokens = static_cast<int>(words.size());
  }
  for (const std::string& name : class_names) {
    absl::StatusOr<std::vector<int32_t>> tokens =
        encoder.tokenizer().Encode(learners::ClassText(name) + ".");
    if (!tokens.ok()) {
      return Annotate(tokens.status(), "class \"" + name + "\"");
    }
    check.total_tokens.push_back(context_tokens + kMarkers +
                                 static_cast<int>(tokens->size()));
  }
  return check;
}

}  // namespace promptd::worker

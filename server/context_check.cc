#include "server/context_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status_macros.h"
#include "datasets/name_rules.h"

namespace promptd::server {
namespace {

constexpr int kDefaultContextTokens = 16;
constexpr size_t kListed = 20;

void CheckNames(const ContextRequest& request,
                const std::vector<int>& total_tokens, int tokens,
                int context_length, std::vector<FieldViolation>* violations) {
  const std::vector<std::string>& names = request.class_names;
  for (size_t i = 0; i < names.size() && i < total_tokens.size(); ++i) {
    if (total_tokens[i] <= context_length) continue;
    violations->push_back(
        {absl::StrCat(request.names_field, "[", i, "]"),
         absl::StrCat("\"", names[i], "\" needs ", total_tokens[i],
                      " tokens with a context of ", tokens,
                      ", the encoder reads at most ", context_length,
                      ": shorten the name or use fewer context tokens")});
  }
}

}  // namespace

std::string JoinSome(const std::vector<std::string>& parts) {
  if (parts.size() <= kListed) return absl::StrJoin(parts, ", ");
  return absl::StrCat(
      absl::StrJoin(parts.begin(), parts.begin() + kListed, ", "), " and ",
      parts.size() - kListed, " more");
}

absl::StatusOr<int> CheckContext(const Backend& backend,
                                 const worker::EncoderDescription& encoder,
                                 const ContextRequest& request,
                                 std::vector<FieldViolation>* violations) {
  const size_t most_bytes = backend.limits.max_label_bytes;
  std::string init = request.init;
  if (init.size() > most_bytes || !datasets::IsPlainText(init)) {
    violations->push_back(
        {"spec.context_init", absl::StrCat("must be plain UTF-8 text of at "
                                           "most ",
                                           most_bytes, " bytes")});
    init.clear();
  }
  int tokens = request.tokens > 0 ? request.tokens : kDefaultContextTokens;
  if (!init.empty()) {
    ASSIGN_OR_RETURN(
        const worker::PromptCheck words,
        backend.executor->CheckPrompt(encoder.digest, tokens, init, {}));
    const int most = backend.limits.max_context_tokens;
    if (words.init_tokens < 1 || words.init_tokens > most) {
      violations->push_back({"spec.context_init",
                             absl::StrCat("has ", words.init_tokens,
                                          " tokens, must have 1 to ", most)});
    } else if (request.tokens > 0 && request.tokens != words.init_tokens) {
      violations->push_back(
          {"spec.context_tokens",
           absl::StrCat("is ", request.tokens, ", but the words \"", init,
                        "\" have ", words.init_tokens,
                        " tokens: leave context_tokens unset")});
    } else {
      tokens = words.init_tokens;
    }
  }
  if (request.class_names.empty()) return tokens;
  ASSIGN_OR_RETURN(const worker::PromptCheck check,
                   backend.executor->CheckPrompt(encoder.digest, tokens, init,
                                                 request.class_names));
  CheckNames(request, check.total_tokens, tokens, encoder.context_length,
             violations);
  return tokens;
}

}  // namespace promptd::server

// The vocabulary that CLIP's merges make, and whether a Hugging Face tokenizer
// is the same. No torch.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace promptd::weights {

// Tokens of a merges.txt (a header line, then a pair a line): 512 for bytes,
// one a merge, two markers. Lines are not checked here; clip/tokenizer.h does.
int MergesVocabSize(absl::string_view merges);

// Whether two files have the same merges; header lines may differ.
bool SameMerges(absl::string_view one, absl::string_view other);

// All tokens in the order of their ids, with Hugging Face's markers.
std::vector<std::string> MergesVocabulary(absl::string_view merges);

// Compares merges.txt, vocab.json and tokenizer.json of the folder, those that
// are there, with `merges`. INVALID_ARGUMENT (TOKENIZER_MISMATCH) and
// ReadFile's errors.
absl::Status CheckHuggingFaceTokenizer(const std::string& folder,
                                       absl::string_view merges);

}  // namespace promptd::weights

#include "weights/clip_vocabulary.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxFileBytes = int64_t{32} << 20;

// What follows the header line, without an empty last line.
absl::string_view Body(absl::string_view merges) {
  const size_t end = merges.find('\n');
  merges = end == merges.npos ? "" : merges.substr(end + 1);
  absl::ConsumeSuffix(&merges, "\n");
  return merges;
}

std::vector<absl::string_view> Lines(absl::string_view merges) {
  const absl::string_view body = Body(merges);
  if (body.empty()) return {};
  return absl::StrSplit(body, '\n');
}

// UTF-8 of a code point below U+0800.
std::string Utf8(uint32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6),
          static_cast<char>(0x80 | (code & 0x3f))};
}

// Bytes that are visible in Latin-1 stand for themselves and come first.
std::vector<std::string> ByteTokens() {
  std::vector<std::string> tokens, others;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
        byte >= 0xae) {
      tokens.push_back(Utf8(byte));
    } else {
      others.push_back(Utf8(256 + static_cast<uint32_t>(others.size())));
    }
  }
  tokens.insert(tokens.end(), others.begin(), others.end());
  return tokens;
}

absl::Status Mismatch(const std::string& path, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "TOKENIZER_MISMATCH",
                   absl::StrCat(path, " ", what,
                                ": only CLIP's own tokenizer is supported"));
}

absl::Status CheckVocabulary(const std::string& path, const Json& vocabulary,
                             absl::string_view merges) {
  const std::vector<std::string> tokens = MergesVocabulary(merges);
  if (!vocabulary.is_object() || vocabulary.size() != tokens.size()) {
    return Mismatch(
        path, absl::StrCat("does not have CLIP's ", tokens.size(), " tokens"));
  }
  for (size_t id = 0; id < tokens.size(); ++id) {
    const auto found = vocabulary.find(tokens[id]);
    if (found == vocabulary.end() || *found != id) {
      return Mismatch(path,
                      absl::StrCat("has another token ", id, " than CLIP"));
    }
  }
  return absl::OkStatus();
}

// The "merges" of a tokenizer.json: "left right" or ["left", "right"].
absl::Status CheckJsonMerges(const std::string& path, const Json& pairs,
                             absl::string_view merges) {
  const std::vector<absl::string_view> lines = Lines(merges);
  bool same = pairs.is_array() && pairs.size() == lines.size();
  for (size_t i = 0; same && i < lines.size(); ++i) {
    const Json& pair = pairs[i];
    if (pair.is_array() && pair.size() == 2 && pair[0].is_string() &&
        pair[1].is_string()) {
      same = absl::StrCat(pair[0].get_ref<const std::string&>(), " ",
                          pair[1].get_ref<const std::string&>()) == lines[i];
    } else {
      same = pair.is_string() && pair.get_ref<const std::string&>() == lines[i];
    }
  }
  if (same) return absl::OkStatus();
  return Mismatch(path, "has other merges than CLIP");
}

// A file's bytes; nothing when it is not there.
absl::StatusOr<std::string> ReadIfThere(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxFileBytes);
  if (absl::IsNotFound(bytes.status())) return std::string();
  return bytes;
}

absl::StatusOr<Json> ParseJson(const std::string& path,
                               const std::string& bytes) {
  Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Mismatch(path, "is not valid JSON");
  return json;
}

}  // namespace

int MergesVocabSize(absl::string_view merges) {
  return 512 + static_cast<int>(Lines(merges).size()) + 2;
}

bool SameMerges(absl::string_view one, absl::string_view other) {
  return Body(one) == Body(other);
}

std::vector<std::string> MergesVocabulary(absl::string_view merges) {
  std::vector<std::string> tokens = ByteTokens();
  for (size_t i = 0; i < 256; ++i) tokens.push_back(tokens[i] + "</w>");
  for (const absl::string_view line : Lines(merges)) {
    tokens.push_back(absl::StrJoin(absl::StrSplit(line, ' '), ""));
  }
  tokens.push_back("<|startoftext|>");
  tokens.push_back("<|endoftext|>");
  return tokens;
}

absl::Status CheckHuggingFaceTokenizer(const std::string& folder,
                                       absl::string_view merges) {
  const std::string merges_path = folder + "/merges.txt";
  ASSIGN_OR_RETURN(const std::string theirs, ReadIfThere(merges_path));
  if (!theirs.empty() && !SameMerges(theirs, merges)) {
    return Mismatch(merges_path, "has other merges than CLIP");
  }
  const std::string vocabulary_path = folder + "/vocab.json";
  ASSIGN_OR_RETURN(const std::string vocabulary, ReadIfThere(vocabulary_path));
  if (!vocabulary.empty()) {
    ASSIGN_OR_RETURN(const Json json, ParseJson(vocabulary_path, vocabulary));
    RETURN_IF_ERROR(CheckVocabulary(vocabulary_path, json, merges));
  }
  const std::string tokenizer_path = folder + "/tokenizer.json";
  ASSIGN_OR_RETURN(const std::string tokenizer, ReadIfThere(tokenizer_path));
  if (!tokenizer.empty()) {
    ASSIGN_OR_RETURN(const Json json, ParseJson(tokenizer_path, tokenizer));
    const auto model = json.is_object() ? json.find("model") : json.end();
    if (model == json.end() || !model->is_object()) {
      return Mismatch(tokenizer_path, "has no model");
    }
    RETURN_IF_ERROR(
        CheckVocabulary(tokenizer_path, model->value("vocab", Json()), merges));
    RETURN_IF_ERROR(CheckJsonMerges(tokenizer_path,
                                    model->value("merges", Json()), merges));
  }
  return absl::OkStatus();
}

}  // namespace promptd::weights

#include "client/interpret_view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/table.h"

namespace promptd::client {
namespace {

std::string WordsText(const v1::ContextVectorWords& vector) {
  std::vector<std::string> words;
  for (const v1::NearestWord& word : vector.words()) {
    words.push_back(absl::StrFormat("%s %.4f", ReadableToken(word.token()),
                                    word.distance()));
  }
  return absl::StrJoin(words, ", ");
}

}  // namespace

std::string ReadableToken(absl::string_view token) {
  if (absl::ConsumeSuffix(&token, "</w>")) return std::string(token);
  // "<|startoftext|>" is the same marker elsewhere.
  const bool marker = absl::StartsWith(token, "<") &&
                      absl::EndsWith(token, ">") &&
                      absl::StrContains(token, "text");
  return marker ? std::string(token) : absl::StrCat(token, "-");
}

std::string InterpretationTable(const v1::InterpretVersionResponse& reply) {
  const bool classes =
      std::any_of(reply.vectors().begin(), reply.vectors().end(),
                  [](const auto& one) { return !one.class_name().empty(); });
  std::vector<std::string> headers = {"POSITION", "NORM", "WORDS"};
  if (classes) headers.insert(headers.begin(), "CLASS");
  Table table(headers);
  for (const v1::ContextVectorWords& vector : reply.vectors()) {
    std::vector<std::string> cells = {absl::StrCat(vector.position()),
                                      absl::StrFormat("%.4f", vector.norm()),
                                      WordsText(vector)};
    if (classes) cells.insert(cells.begin(), vector.class_name());
    table.Add(std::move(cells));
  }
  return table.ToString();
}

}  // namespace promptd::client

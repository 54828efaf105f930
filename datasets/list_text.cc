#include "datasets/list_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "datasets/image_list.h"

namespace promptd::datasets {
namespace {

constexpr int64_t kMaxListBytes = int64_t{256} << 20;

}  // namespace

std::string FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path
                                                      : path.substr(slash + 1));
}

absl::StatusOr<std::string> ReadListText(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxListBytes);
  if (text.ok()) {
    if (absl::StartsWith(*text, "\xef\xbb\xbf")) text->erase(0, 3);
    return text;
  }
  if (text.status().code() != absl::StatusCode::kNotFound) return text;
  return MakeError(absl::StatusCode::kNotFound, "LIST_NOT_FOUND",
                   absl::StrCat("there is no ", path, ": check the path"));
}

std::vector<TextLine> SplitLines(absl::string_view text) {
  std::vector<TextLine> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::ConsumeSuffix(&line, "\r");
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    lines.push_back({number, std::string(line)});
  }
  return lines;
}

absl::StatusOr<std::vector<TextLine>> ReadListLines(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadListText(path));
  return SplitLines(text);
}

absl::StatusOr<std::vector<std::string>> ReadClassFile(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<TextLine> lines, ReadListLines(path));
  ClassBook book;
  ListProblems problems;
  int64_t label = 0;
  for (const TextLine& line : lines) {
    const std::string where =
        absl::StrCat(FileName(path), ": line ", line.number);
    book.Note(label++, std::string(absl::StripAsciiWhitespace(line.text)),
              where, where, &problems);
  }
  RETURN_IF_ERROR(problems.ToStatus("INVALID_IMAGE_LIST"));
  return book.Names(FileName(path), &problems);
}

}  // namespace promptd::datasets

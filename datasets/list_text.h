// The text files that list images: read whole, bounded, told apart by line.
// Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::datasets {

// A line that is not blank, without its end.
struct TextLine {
  int number = 0;  // from 1
  std::string text;
};

// "variants.txt" of "/data/fgvc_aircraft/variants.txt".
std::string FileName(absl::string_view path);

// The text of a file of at most 256 MiB, without a byte order mark.
// NOT_FOUND (LIST_NOT_FOUND) when there is no such file; else ReadFile's.
absl::StatusOr<std::string> ReadListText(const std::string& path);

// Its lines that are not blank; "\r\n" ends a line too.
std::vector<TextLine> SplitLines(absl::string_view text);
absl::StatusOr<std::vector<TextLine>> ReadListLines(const std::string& path);

// One class name a line, in label order. Also INVALID_ARGUMENT
// (INVALID_IMAGE_LIST) for names that CLIP cannot tell apart or that are none.
absl::StatusOr<std::vector<std::string>> ReadClassFile(const std::string& path);

}  // namespace promptd::datasets

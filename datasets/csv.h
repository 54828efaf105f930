// Comma-separated values (RFC 4180): quoted fields, doubled quotes, commas and
// line breaks inside quotes, "\n" or "\r\n" at a line's end. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::datasets {

struct CsvRow {
  int line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// The rows of `text`; blank lines are left out. INVALID_ARGUMENT
// (INVALID_IMAGE_LIST) names `name` and the line: a quote that is not closed,
// or that stands inside or behind a field.
absl::StatusOr<std::vector<CsvRow>> ParseCsv(absl::string_view text,
                                             absl::string_view name);

}  // namespace promptd::datasets

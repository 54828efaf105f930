// What a name or a path inside a dataset may look like. Pure functions,
// thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace promptd::datasets {

// Whether `name` can name a dataset: [a-z0-9][a-z0-9._-]{0,62}.
bool IsDatasetName(absl::string_view name);

bool IsUtf8(absl::string_view text);
// Whether `text` is valid UTF-8 without NUL or other control characters.
bool IsPlainText(absl::string_view text);

// The text by which CLIP tells class names apart: underscores are spaces, runs
// of Unicode white space are one space, none at the ends, lower case.
// `name` must be valid UTF-8; from the first invalid byte on it is dropped.
std::string FoldClassName(absl::string_view name);

// Empty when `path` can name an image inside a dataset, else what is wrong
// with it: it must be relative, with "/" between parts none of which is empty,
// "." or "..", and plain text.
std::string PathProblem(absl::string_view path);

}  // namespace promptd::datasets

// Small text rules of the command line. All functions are pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace promptd::client {

// `text` with control characters replaced by "?", so that nothing a server
// or a file name holds can steer the terminal. Bytes above 127 are kept.
std::string Printable(absl::string_view text);

// Printable UTF-8 `text` in at most `columns`; "..." ends what was cut.
std::string Shortened(absl::string_view text, int columns);

// Columns that UTF-8 `text` takes: one a code point.
int DisplayWidth(absl::string_view text);

// "71.3%" of 0.713.
std::string Percent(double fraction);
// "+23.3" of 0.233: a difference of two fractions in points.
std::string Points(double difference);
// "214 MB", "17.5 kB", "12 B".
std::string Bytes(int64_t bytes);
// "12 ms", "4.2 s", "3:05", "2:14:00".
std::string ShortDuration(absl::Duration duration);
// "9 s ago", "2 min ago", "3 h ago", or the date after two days.
std::string Ago(absl::Time then, absl::Time now);
// The first 12 digits of a digest.
std::string ShortDigest(absl::string_view digest);

// A dataset name from a folder's name: lower case, runs of other characters
// than [a-z0-9._-] become one "-", at most 63 characters; empty when nothing
// is left.
std::string FoldName(absl::string_view folder);

}  // namespace promptd::client

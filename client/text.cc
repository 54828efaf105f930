#include "client/text.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace promptd::client {
std::string Printable(absl::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return out;
}

std::string Shortened(absl::string_view text, int columns) {
  if (DisplayWidth(text) <= columns) return Printable(text);
  size_t end = 0;
  while (DisplayWidth(text.substr(0, end + 1)) <= columns - 3) ++end;
  return absl::StrCat(Printable(text.substr(0, end)), "...");
}

int DisplayWidth(absl::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Percent(double fraction) {
  return absl::StrFormat("%.1f%%", 100.0 * fraction);
}

std::string Points(double difference) {
  return absl::StrFormat("%+.1f", 100.0 * difference);
}

std::string Bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1000.0 && unit < 4) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 || value >= 100.0
             ? absl::StrFormat("%.0f %s", value, kUnits[unit])
             : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string ShortDuration(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 1.0) return absl::StrFormat("%.0f ms", 1000.0 * seconds);
  if (seconds < 10.0) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrFormat("%d s", whole);
  if (whole < 3600) return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d", whole / 3600, whole / 60 % 60,
                         whole % 60);
}

std::string Ago(absl::Time then, absl::Time now) {
  const int64_t seconds =
      std::max<int64_t>(0, absl::ToInt64Seconds(now - then));
  if (seconds < 60) return absl::StrCat(seconds, " s ago");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ago");
  if (seconds < 48 * 3600) return absl::StrCat(seconds / 3600, " h ago");
  return absl::FormatTime("%Y-%m-%d", then, absl::UTCTimeZone());
}

std::string ShortDigest(absl::string_view digest) {
  return Printable(digest.substr(0, 12));
}

std::string FoldName(absl::string_view folder) {
  std::string name;
  for (const char c : folder) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    const bool kept =
        absl::ascii_isalnum(static_cast<unsigned char>(lower)) ||
        (!name.empty() && (lower == '.' || lower == '_' || lower == '-'));
    if (kept) {
      name.push_back(lower);
    } else if (!name.empty() && name.back() != '-') {
      name.push_back('-');
    }
  }
  name.resize(std::min<size_t>(name.size(), 63));
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

}  // namespace promptd::client

#include "client/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/text.h"

namespace promptd::client {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kPlainLine = absl::Seconds(10);
constexpr absl::Duration kPlainPause = absl::Seconds(2);
constexpr double kPlainStep = 0.1;
constexpr int kBarWidth = 24;

// The first `columns` code points.
std::string Cut(absl::string_view text, int columns) {
  size_t end = 0;
  for (int width = 0; end < text.size(); ++end) {
    const bool starts = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts && ++width > columns) break;
  }
  return std::string(text.substr(0, end));
}

}  // namespace

std::string Bar(double fraction, int width, bool unicode) {
  const double clamped =
      std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const int full = static_cast<int>(std::floor(clamped * width + 1e-9));
  std::string bar;
  for (int i = 0; i < width; ++i) {
    if (unicode) {
      bar += i < full ? "\u2588" : "\u2591";
    } else {
      bar += i < full ? '#' : '.';
    }
  }
  return bar;
}

Progress::Progress(Console& console, const Clock& clock)
    : console_(console), clock_(clock) {}

Progress::~Progress() { Finish(); }

bool Progress::Due(absl::string_view label, double fraction) const {
  if (label != label_) return true;
  if (fraction >= 1.0) return shown_fraction_ < 1.0;
  const absl::Duration since = clock_.Now() - shown_time_;
  if (console_.options().tty) return since >= kRedraw;
  if (since < kPlainPause) return false;
  return fraction - shown_fraction_ >= kPlainStep || since >= kPlainLine;
}

void Progress::Update(absl::string_view label, double fraction,
                      absl::string_view detail) {
  const ConsoleOptions& options = console_.options();
  if (options.quiet || (options.json && !options.tty)) return;
  if (!Due(label, fraction)) return;
  Draw(label, fraction, detail);
  label_ = std::string(label);
  shown_fraction_ = fraction;
  shown_time_ = clock_.Now();
}

void Progress::Draw(absl::string_view label, double fraction,
                    absl::string_view detail) {
  const ConsoleOptions& options = console_.options();
  const std::string percent =
      absl::StrFormat("%3.0f%%", 100.0 * std::clamp(fraction, 0.0, 1.0));
  if (!options.tty) {
    console_.err() << Printable(absl::StrFormat("%-8s %s  %s", label, percent,
                                                detail))
                   << std::endl;
    return;
  }
  if (open_ && label != label_) console_.err() << "\n";
  const std::string line = absl::StrFormat(
      "%-8s %s %s  %s", label, Bar(fraction, kBarWidth, options.unicode),
      percent, Printable(detail));
  console_.err() << "\r" << Cut(line, options.columns - 1) << "\x1b[K"
                 << std::flush;
  open_ = true;
}

void Progress::Finish() {
  if (open_) console_.err() << std::endl;
  open_ = false;
}

}  // namespace promptd::client

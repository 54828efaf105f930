// One line that tells how far a long step is: a bar that is redrawn at most
// ten times a second on a terminal, a plain line now and then otherwise.
//
//   Progress progress(console, *Clock::Real());
//   progress.Update("upload", 0.31, "214 MB");
//   progress.Finish();
//
// Nothing is written with --quiet or when results are JSON and the stream is
// no terminal. Thread-compatible.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/console.h"
#include "common/clock.h"

namespace promptd::client {

// `width` cells, `fraction` of them full; clamped to 0..1.
std::string Bar(double fraction, int width, bool unicode);

class Progress {
 public:
  // Both are borrowed and outlive the object.
  Progress(Console& console, const Clock& clock);
  // Leaves a started bar on its own line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `label` names the step, `detail` follows the percentage. A new label and
  // a full bar are always shown; anything else as often as the stream allows:
  // ten times a second on a terminal, else every tenth of the way but not
  // within two seconds, and every ten seconds.
  void Update(absl::string_view label, double fraction,
              absl::string_view detail);

  // Ends the line of a bar. Safe to repeat.
  void Finish();

 private:
  bool Due(absl::string_view label, double fraction) const;
  void Draw(absl::string_view label, double fraction, absl::string_view detail);

  Console& console_;
  const Clock& clock_;
  std::string label_;
  double shown_fraction_ = -1.0;
  absl::Time shown_time_ = absl::InfinitePast();
  bool open_ = false;  // a bar stands on the current line
};

}  // namespace promptd::client

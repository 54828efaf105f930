// Where promptctl speaks: results on one stream, messages on another.
//
//   console.out() << table;            // the result, and nothing else
//   console.Note("1 632 images, 102 classes");
//   console.Warn("3 files are unreadable");
//
// Owned by main or a test; owned streams are not flushed here except by
// Json(). Thread-compatible.
#pragma once

#include <ostream>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace promptd::client {

struct ConsoleOptions {
  bool json = false;     // results and errors as JSON
  bool quiet = false;    // no notes, no progress; warnings and errors stay
  bool verbose = false;  // details as well
  bool color = false;    // the message stream understands colours
  bool tty = false;      // the message stream is a terminal: progress bars
  bool unicode = false;  // the terminal shows UTF-8
  int columns = 80;
};

class Console {
 public:
  Console(std::ostream& out, std::ostream& err, const ConsoleOptions& options)
      : out_(out), err_(err), options_(options) {}

  const ConsoleOptions& options() const { return options_; }
  bool json() const { return options_.json; }
  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }

  // One JSON value on a line of its own on the result stream.
  void Json(const nlohmann::json& value);

  // A line on the message stream; nothing with --quiet.
  void Note(absl::string_view line);
  // A line that only --verbose shows.
  void Detail(absl::string_view line);
  // "warning: `line`", always shown.
  void Warn(absl::string_view line);

  // `text` in bold, red or yellow where colours are understood.
  std::string Bold(absl::string_view text) const;
  std::string Red(absl::string_view text) const;
  std::string Yellow(absl::string_view text) const;

 private:
  std::string Styled(absl::string_view code, absl::string_view text) const;

  std::ostream& out_;
  std::ostream& err_;
  const ConsoleOptions options_;
};

// What the process' standard streams and environment (NO_COLOR, TERM, LANG)
// allow; json, quiet and verbose are left false.
ConsoleOptions DetectConsole();

}  // namespace promptd::client

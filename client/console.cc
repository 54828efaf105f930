#include "client/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace promptd::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(Environment(name));
    if (value.empty()) continue;
    return absl::StrContains(value, "utf-8") ||
           absl::StrContains(value, "utf8");
  }
  return false;
}

}  // namespace

void Console::Json(const nlohmann::json& value) {
  // Replaces invalid UTF-8 (a file name may hold it) instead of throwing.
  out_ << value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
       << std::endl;
}

void Console::Note(absl::string_view line) {
  if (!options_.quiet) err_ << std::string(line) << std::endl;
}

void Console::Detail(absl::string_view line) {
  if (options_.verbose) err_ << std::string(line) << std::endl;
}

void Console::Warn(absl::string_view line) {
  err_ << Yellow("warning:") << " " << std::string(line) << std::endl;
}

std::string Console::Styled(absl::string_view code,
                            absl::string_view text) const {
  if (!options_.color) return std::string(text);
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

std::string Console::Bold(absl::string_view text) const {
  return Styled("1", text);
}
std::string Console::Red(absl::string_view text) const {
  return Styled("1;31", text);
}
std::string Console::Yellow(absl::string_view text) const {
  return Styled("33", text);
}

ConsoleOptions DetectConsole() {
  ConsoleOptions options;
  const std::string term = Environment("TERM");
  options.tty = ::isatty(STDERR_FILENO) == 1 && term != "dumb";
  options.color = options.tty && Environment("NO_COLOR").empty();
  options.unicode = LocaleIsUtf8();
  winsize size{};
  if (options.tty && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 &&
      size.ws_col >= 40) {
    options.columns = size.ws_col;
  }
  return options;
}

}  // namespace promptd::client

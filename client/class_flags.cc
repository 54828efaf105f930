#include "client/class_flags.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/verbs.h"
#include "common/file.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

constexpr int64_t kMaxFileBytes = 4 << 20;

// The parts without white space around them. A name that is empty is the
// server's to refuse, so that the message has its place.
std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> names;
  for (const absl::string_view part : absl::StrSplit(text, separator)) {
    names.emplace_back(absl::StripAsciiWhitespace(part));
  }
  return names;
}

}  // namespace

void AddClassFlags(CLI::App* app, ClassFlags* flags) {
  app->add_option("--dataset,-d", flags->dataset,
                  "Apply to the classes of a dataset (its name, or a folder "
                  "that is pushed first), and score on it");
  app->add_option("--classes", flags->classes,
                  "Apply to these classes, e.g. \"cat, dog\", without a score");
  app->add_option("--classes-file", flags->classes_file,
                  "The same from a file, one name a line");
}

absl::StatusOr<std::vector<std::string>> ClassNamesOf(const ClassFlags& flags) {
  const int given = (flags.dataset.empty() ? 0 : 1) +
                    (flags.classes.empty() ? 0 : 1) +
                    (flags.classes_file.empty() ? 0 : 1);
  if (given != 1) {
    return UsageError(
        "give the classes in one way: --dataset NAME, --classes \"a, b\" or "
        "--classes-file FILE");
  }
  if (!flags.dataset.empty()) return std::vector<std::string>();
  if (!flags.classes.empty()) return Split(flags.classes, ',');
  ASSIGN_OR_RETURN(std::string text,
                   ReadFile(flags.classes_file, kMaxFileBytes));
  // The end of the last line begins no further one.
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return Split(text, '\n');
}

}  // namespace promptd::client

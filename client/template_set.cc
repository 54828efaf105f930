#include "client/template_set.h"

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "experiments/template_text.h"

namespace promptd::client {
namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;

absl::Status BadFile(const std::string& file, size_t line,
                     const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TEMPLATE_FILE",
                   absl::StrCat(file, ":", line, ": ", why));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadTemplateSet(
    const std::string& name) {
  if (name == "coop7") return experiments::SelectedTemplates();
  if (name == "clip80") return experiments::AllTemplates();
  std::error_code ignored;
  if (!std::filesystem::exists(name, ignored)) {
    return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_TEMPLATE_SET",
                     absl::StrCat("\"", name,
                                  "\" is no set of templates and no file: use "
                                  "coop7, clip80, or a file with a template a "
                                  "line"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(name, kMaxFileBytes));
  std::vector<std::string> templates;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    const int places = experiments::PlacesForName(line);
    if (places != 1) {
      return BadFile(name, number,
                     absl::StrCat("\"", line, "\" holds ", places,
                                  " \"{}\", must hold one for the class "
                                  "name"));
    }
    templates.emplace_back(line);
  }
  if (templates.empty()) return BadFile(name, number, "has no template");
  return templates;
}

}  // namespace promptd::client

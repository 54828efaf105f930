#include "client/error_report.h"

#include <cctype>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/rpc_status.h"
#include "client/text.h"
#include "common/error.h"

namespace promptd::client {
namespace {

constexpr char kWhatUrl[] = "promptctl/what";
constexpr char kWhyUrl[] = "promptctl/why";

std::string Payload(const absl::Status& status, absl::string_view url) {
  const auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : "";
}

// Splits at the last ": " outside quotes when what follows reads as advice:
// several words that start in lower case. The system's own texts ("Permission
// denied") start in upper case and stay with the message.
std::pair<std::string, std::string> SplitAdvice(absl::string_view message) {
  size_t split = absl::string_view::npos;
  bool quoted = false;
  for (size_t i = 0; i + 1 < message.size(); ++i) {
    if (message[i] == '"') quoted = !quoted;
    if (!quoted && message[i] == ':' && message[i + 1] == ' ') split = i;
  }
  if (split == absl::string_view::npos) return {std::string(message), ""};
  const absl::string_view tail = message.substr(split + 2);
  if (tail.empty() || !std::islower(static_cast<unsigned char>(tail[0])) ||
      tail.find(' ') == absl::string_view::npos) {
    return {std::string(message), ""};
  }
  return {std::string(message.substr(0, split)), std::string(tail)};
}

}  // namespace

absl::Status WithWhat(const absl::Status& status, absl::string_view what) {
  absl::Status out = status;
  if (!out.ok()) out.SetPayload(kWhatUrl, absl::Cord(what));
  return out;
}

absl::Status WithWhy(const absl::Status& status, absl::string_view why) {
  absl::Status out = status;
  if (out.ok()) return out;
  const std::string before = Payload(status, kWhyUrl);
  out.SetPayload(kWhyUrl,
                 absl::Cord(before.empty() ? std::string(why)
                                           : absl::StrCat(before, "\n", why)));
  return out;
}

ErrorReport ReportOf(const absl::Status& status) {
  ErrorReport report;
  report.exit_code = ExitCodeOf(status);
  report.reason = ErrorReason(status);
  report.request_id = RequestIdOf(status);
  const std::string what = Payload(status, kWhatUrl);
  const std::vector<FieldViolation> fields = ErrorFields(status);
  if (!fields.empty()) {
    report.what = what.empty() ? "the request is not valid" : what;
    for (const FieldViolation& violation : fields) {
      report.why.push_back(
          violation.field.empty()
              ? violation.description
              : absl::StrCat(violation.field, ": ", violation.description));
    }
  } else {
    auto [message, advice] = SplitAdvice(
        absl::string_view(status.message().data(), status.message().size()));
    if (message.empty()) message = report.reason;
    report.what = what.empty() ? message : absl::StrCat(what, ": ", message);
    report.fix = std::move(advice);
  }
  const std::string why = Payload(status, kWhyUrl);
  if (!why.empty()) {
    for (absl::string_view line : absl::StrSplit(why, '\n')) {
      report.why.emplace_back(line);
    }
  }
  return report;
}

std::string ErrorText(const ErrorReport& report) {
  std::string out = absl::StrCat("error: ", Printable(report.what), "\n");
  for (size_t i = 0; i < report.why.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "  why   " : "        ",
                    Printable(report.why[i]), "\n");
  }
  if (!report.fix.empty()) {
    absl::StrAppend(&out, "  fix   ", Printable(report.fix), "\n");
  }
  absl::StrAppend(&out, "  ref   ", Printable(report.reason));
  if (!report.request_id.empty()) {
    absl::StrAppend(&out, "  request ", Printable(report.request_id));
  }
  return out + "\n";
}

nlohmann::json ErrorJson(const ErrorReport& report) {
  return {{"error",
           {{"message", report.what},
            {"why", report.why},
            {"fix", report.fix},
            {"reason", report.reason},
            {"request_id", report.request_id},
            {"exit_code", static_cast<int>(report.exit_code)}}}};
}

ExitCode PrintError(const absl::Status& status, Console& console) {
  const ErrorReport report = ReportOf(status);
  if (console.json()) {
    console.err() << ErrorJson(report).dump(
                         -1, ' ', false,
                         nlohmann::json::error_handler_t::replace)
                  << std::endl;
  } else {
    const std::string text = ErrorText(report);
    console.err() << console.Red(text.substr(0, 6)) << text.substr(6)
                  << std::flush;
  }
  return report.exit_code;
}

}  // namespace promptd::client

#include "common/error.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/check.h"

namespace promptd {
namespace {

constexpr char kReasonUrl[] = "promptd/reason";
constexpr char kFieldsUrl[] = "promptd/fields";
// Separators that cannot stand in a field path or a description of ours.
constexpr char kUnit[] = "\x1f";
constexpr char kRecord[] = "\x1e";

}  // namespace

absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view message) {
  PROMPTD_CHECK(code != absl::StatusCode::kOk);
  absl::Status status(code, message);
  status.SetPayload(kReasonUrl, absl::Cord(reason));
  return status;
}

absl::Status InvalidFields(absl::string_view reason,
                           const std::vector<FieldViolation>& violations) {
  PROMPTD_CHECK(!violations.empty());
  absl::Status status = MakeError(
      absl::StatusCode::kInvalidArgument, reason,
      absl::StrJoin(violations, "; ",
                    [](std::string* out, const FieldViolation& violation) {
                      absl::StrAppend(out, violation.field, ": ",
                                      violation.description);
                    }));
  return WithFields(std::move(status), violations);
}

absl::Status WithFields(absl::Status status,
                        const std::vector<FieldViolation>& violations) {
  if (violations.empty()) return status;
  status.SetPayload(kFieldsUrl,
                    absl::Cord(absl::StrJoin(
                        violations, kRecord,
                        [](std::string* out, const FieldViolation& violation) {
                          absl::StrAppend(out, violation.field, kUnit,
                                          violation.description);
                        })));
  return status;
}

std::string ErrorReason(const absl::Status& status) {
  if (const auto reason = status.GetPayload(kReasonUrl)) {
    return std::string(*reason);
  }
  return absl::StatusCodeToString(status.code());
}

std::vector<FieldViolation> ErrorFields(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  const auto payload = status.GetPayload(kFieldsUrl);
  if (!payload) return violations;
  for (absl::string_view record :
       absl::StrSplit(std::string(*payload), kRecord)) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(record, absl::MaxSplits(kUnit, 1));
    violations.push_back({parts.first, parts.second});
  }
  return violations;
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&annotated](absl::string_view url, const absl::Cord& payload) {
        annotated.SetPayload(url, payload);
      });
  return annotated;
}

}  // namespace promptd

#include "wire/wire_status.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/utf8.h"

namespace promptd::wire {
namespace {

constexpr char kUnreachable[] = "PEER_UNREACHABLE";
constexpr size_t kMaxTextBytes = 8 << 10;
constexpr size_t kMaxFieldsBytes = 40 << 10;

}  // namespace

void ToProto(const absl::Status& status, pb::ItemStatus* out) {
  if (status.ok()) return;
  out->set_code(static_cast<int>(status.code()));
  out->set_message(TruncateUtf8(status.message(), kMaxTextBytes));
  out->set_reason(ErrorReason(status));
  size_t used = 0;
  for (const FieldViolation& violation : ErrorFields(status)) {
    used += violation.field.size() + violation.description.size();
    if (used > kMaxFieldsBytes) break;
    pb::ItemStatus::Field* field = out->add_fields();
    field->set_field(TruncateUtf8(violation.field, kMaxTextBytes));
    field->set_description(TruncateUtf8(violation.description, kMaxTextBytes));
  }
}

absl::Status FromProto(const pb::ItemStatus& status) {
  if (status.code() == 0) return absl::OkStatus();
  std::vector<FieldViolation> fields;
  for (const pb::ItemStatus::Field& field : status.fields()) {
    fields.push_back({field.field(), field.description()});
  }
  const auto code = static_cast<absl::StatusCode>(status.code());
  return WithFields(MakeError(code, status.reason(), status.message()), fields);
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  pb::ItemStatus details;
  ToProto(status, &details);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      TruncateUtf8(status.message(), 200),
                      details.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& peer) {
  if (status.ok()) return absl::OkStatus();
  pb::ItemStatus details;
  if (!status.error_details().empty() &&
      details.ParseFromString(status.error_details()) &&
      details.code() == static_cast<int>(status.error_code())) {
    return FromProto(details);
  }
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return MakeError(
          absl::StatusCode::kUnavailable, kUnreachable,
          absl::StrCat(peer, " cannot be reached (", status.error_message(),
                       "): try again in a moment"));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXPIRED",
                       "the deadline passed before the call was done");
    case grpc::StatusCode::CANCELLED:
      return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                       "the call was cancelled");
    default:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          absl::StrCat(peer, ": ", status.error_message()));
  }
}

bool IsUnreachable(const absl::Status& status) {
  return !status.ok() && ErrorReason(status) == kUnreachable;
}

}  // namespace promptd::wire

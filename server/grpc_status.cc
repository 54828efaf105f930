#include "server/grpc_status.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace promptd::server {
namespace {

// grpc-message is percent-encoded (up to three bytes a byte), the details are
// base64 (four bytes for three): together they stay under 8 KiB with room for
// the other trailers.
constexpr size_t kMaxMessageBytes = 1000;
constexpr size_t kMaxDetailsBytes = 2800;
constexpr size_t kMaxDescriptionBytes = 400;
constexpr int kRetrySeconds = 1;

void AddDetail(const google::protobuf::Message& detail,
               google::rpc::Status* out) {
  out->add_details()->PackFrom(detail);
}

google::rpc::BadRequest ToBadRequest(const std::vector<FieldViolation>& fields,
                                     size_t budget) {
  google::rpc::BadRequest request;
  size_t used = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    google::rpc::BadRequest::FieldViolation violation;
    violation.set_field(TruncateUtf8(fields[i].field, 100));
    violation.set_description(
        TruncateUtf8(fields[i].description, kMaxDescriptionBytes));
    used += violation.ByteSizeLong() + 4;
    if (used > budget) {
      auto* rest = request.add_field_violations();
      rest->set_field("");
      rest->set_description(
          absl::StrCat("and ", fields.size() - i, " more violations"));
      break;
    }
    *request.add_field_violations() = std::move(violation);
  }
  return request;
}

bool Retryable(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kResourceExhausted;
}

}  // namespace

std::string PublicMessage(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  if (reason == "DISK_FULL") {
    return "the server's disk is full: free space in its data directory, "
           "then repeat the call";
  }
  if (reason == "DATABASE_CORRUPT") {
    return "the server's database is damaged: restore a backup; the server's "
           "log has the details under this request id";
  }
  if (absl::StartsWith(reason, "DATABASE_") &&
      status.code() == absl::StatusCode::kUnavailable) {
    return "the server's database cannot be used for the moment: repeat the "
           "call; the server's log has the details under this request id";
  }
  if (absl::StartsWith(reason, "FILE_") ||
      status.code() == absl::StatusCode::kInternal ||
      status.code() == absl::StatusCode::kUnknown) {
    return "internal error: the server's log has the details under this "
           "request id";
  }
  return std::string(status.message());
}

grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view request_id) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message =
      TruncateUtf8(PublicMessage(status), kMaxMessageBytes);
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(ErrorReason(status));
  info.set_domain("promptd");
  (*info.mutable_metadata())["request_id"] = std::string(request_id);
  AddDetail(info, &details);
  if (Retryable(status.code())) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(kRetrySeconds);
    AddDetail(retry, &details);
  }
  const std::vector<FieldViolation> fields = ErrorFields(status);
  if (!fields.empty()) {
    AddDetail(ToBadRequest(fields, kMaxDetailsBytes - details.ByteSizeLong()),
              &details);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.SerializeAsString());
}

}  // namespace promptd::server

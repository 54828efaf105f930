#include "client/rpc_status.h"

#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace promptd::client {
namespace {

struct Details {
  std::string reason;
  std::string request_id;
  std::vector<FieldViolation> fields;
};

Details Decode(const std::string& bytes) {
  Details details;
  google::rpc::Status status;
  if (bytes.empty() || !status.ParseFromString(bytes)) return details;
  for (const google::protobuf::Any& any : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    google::rpc::RequestInfo request;
    if (any.UnpackTo(&info)) {
      details.reason = info.reason();
      const auto id = info.metadata().find("request_id");
      if (id != info.metadata().end()) details.request_id = id->second;
    } else if (any.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        details.fields.push_back({violation.field(), violation.description()});
      }
    } else if (any.UnpackTo(&request)) {
      details.request_id = request.request_id();
    }
  }
  return details;
}

// gRPC's own words for a failed connection are long: the useful part only.
std::string ConnectionProblem(absl::string_view message) {
  for (const char* known :
       {"Connection refused", "Connection reset", "Name or service not known",
        "No route to host", "Network is unreachable", "Socket closed"}) {
    if (absl::StrContains(message, known)) return known;
  }
  if (absl::StrContains(message, "DNS resolution failed")) {
    return "unknown host name";
  }
  return std::string(message);
}

absl::Status WithoutDetails(const grpc::Status& status,
                            absl::string_view server) {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kUnavailable) {
    return MakeError(
        code, "SERVER_UNREACHABLE",
        absl::StrCat("cannot reach ", server, " (",
                     ConnectionProblem(status.error_message()),
                     "): start it with `promptd`, or point elsewhere with "
                     "`promptctl -s HOST:PORT`"));
  }
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return MakeError(code, "TIMEOUT",
                     absl::StrCat("no answer from ", server,
                                  " in time: try again, or allow more with "
                                  "--timeout, e.g. --timeout 2m"));
  }
  if (code == absl::StatusCode::kUnimplemented) {
    return MakeError(code, "UNIMPLEMENTED",
                     absl::StrCat(server, " does not know this call (",
                                  status.error_message(),
                                  "): is it a promptd of this version?"));
  }
  return absl::Status(code, status.error_message());
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status,
                            absl::string_view server) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const Details details = Decode(status.error_details());
  absl::Status out;
  if (details.reason.empty()) {
    out = WithoutDetails(status, server);
  } else if (code == absl::StatusCode::kInvalidArgument &&
             !details.fields.empty()) {
    out = InvalidFields(details.reason, details.fields);
  } else {
    out = MakeError(code, details.reason, status.error_message());
  }
  if (!details.request_id.empty()) {
    out.SetPayload(kRequestIdUrl, absl::Cord(details.request_id));
  }
  return out;
}

std::string RequestIdOf(const absl::Status& status) {
  const auto id = status.GetPayload(kRequestIdUrl);
  return id ? std::string(*id) : "";
}

}  // namespace promptd::client

#include "server/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/id.h"
#include "common/log.h"
#include "common/utf8.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/grpc_status.h"
#include "server/metrics.h"

namespace promptd::server {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";

bool SaneRequestId(absl::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::string RequestId(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find(kRequestIdKey);
  if (it != metadata.end()) {
    const absl::string_view text(it->second.data(), it->second.size());
    if (SaneRequestId(text)) return std::string(text);
  }
  return NewUuid();
}

absl::Time Deadline(const grpc::CallbackServerContext& context,
                    absl::Time start, const DeadlineRule& rule) {
  const auto given = context.deadline();
  if (given == std::chrono::system_clock::time_point::max()) {
    return start + rule.missing;
  }
  return std::min(absl::FromChrono(given), start + rule.most);
}

spdlog::level::level_enum LevelOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return spdlog::level::err;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return spdlog::level::warn;
    default:
      return spdlog::level::info;
  }
}

}  // namespace

bool IsWithinMachine(absl::string_view peer) {
  return absl::StartsWith(peer, "unix:") ||
         absl::StartsWith(peer, "ipv4:127.") ||
         absl::StartsWith(peer, "ipv6:[::1]:") ||
         absl::StartsWith(peer, "ipv6:%5B::1%5D:");
}

Call::Call(std::string service, std::string method, const RpcSeries& series,
           grpc::CallbackServerContext* context, const DeadlineRule& rule)
    : service_(std::move(service)),
      method_(std::move(method)),
      series_(series),
      start_(absl::Now()),
      request_id_(RequestId(*context)),
      peer_(context->peer()),
      deadline_(Deadline(*context, start_, rule)) {
  series_.in_flight->Increment();
  context->AddInitialMetadata(kRequestIdKey, request_id_);
  context->AddTrailingMetadata(kRequestIdKey, request_id_);
  auto principal = ResolvePrincipal(*context);
  if (principal.ok()) {
    principal_ = *std::move(principal);
  } else {
    admission_ = principal.status();
  }
}

Call::~Call() {
  if (!ended_) {
    End(MakeError(absl::StatusCode::kInternal, "NO_REPLY",
                  "the handler dropped the call"));
  }
}

std::function<bool()> Call::CancelledFunction() const {
  return [flag = cancelled_] { return flag->load(); };
}

absl::Status Call::CheckAlive() const {
  if (absl::Now() >= deadline_) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXPIRED",
                     "the deadline passed before the call was done");
  }
  if (cancelled()) {
    return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                     "the client cancelled the call");
  }
  return absl::OkStatus();
}

grpc::Status Call::End(const absl::Status& status) {
  if (ended_.exchange(true)) return grpc::Status::CANCELLED;
  // Who has gone away sees no reply: count what the client saw.
  absl::Status outcome = status;
  if (cancelled()) {
    outcome = CheckAlive();
    outcome.Update(status);
  }
  const absl::Duration elapsed = absl::Now() - start_;
  series_.in_flight->Decrement();
  series_.Record(outcome.code(), elapsed);
  nlohmann::json fields = {{"request_id", request_id_},
                           {"service", service_},
                           {"method", method_},
                           {"code", absl::StatusCodeToString(outcome.code())},
                           {"seconds", absl::ToDoubleSeconds(elapsed)},
                           {"tenant", principal_.tenant},
                           {"peer", peer_}};
  if (!outcome.ok()) {
    fields["reason"] = ErrorReason(outcome);
    fields["error"] = TruncateUtf8(outcome.message(), 2000);
  }
  LogEvent(LevelOf(outcome.code()), "rpc", fields);
  return ToGrpcStatus(outcome, request_id_);
}

}  // namespace promptd::server

#include "bench/load/tally.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace promptd::load {
namespace {

const char* CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED",
  };
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

}  // namespace

Tally::Tally(const PaceOptions& pace, int images_per_request)
    : pace_(pace),
      images_per_request_(images_per_request),
      start_(absl::Now()),
      measured_(start_ + pace.warmup),
      end_(measured_ + pace.length) {}

void Tally::Sent(absl::Time due, absl::Time sent) {
  if (!Measured(due)) return;
  ++result_.requests;
  result_.send_lag.Add(sent - due);
}

void Tally::NotSent(absl::Time due) {
  if (!Measured(due)) return;
  ++result_.requests;
  ++result_.not_sent;
}

void Tally::CountImages(int images, absl::Time now) {
  result_.images_in_all += images;
  if (images == 0 || now < measured_ || all_counted_) return;
  all_counted_ = now >= end_;
  if (first_answer_ == absl::InfiniteFuture()) {
    first_answer_ = now;
    result_.images_time = std::max(end_ - now, absl::ZeroDuration());
    return;
  }
  result_.images += images;
  if (all_counted_) result_.images_time = now - first_answer_;
}

void Tally::Ended(absl::Time due, absl::Time sent, const grpc::Status& status,
                  int images, absl::Time now) {
  CountImages(images, now);
  if (!status.ok() && result_.first_error.empty()) {
    result_.first_error = absl::StrCat(CodeName(status.error_code()), ": ",
                                       status.error_message());
  }
  if (!Measured(due)) return;
  ++result_.by_code[CodeName(status.error_code())];
  const absl::Duration latency = now - due;
  const bool has_deadline = pace_.deadline > absl::ZeroDuration();
  if (status.ok()) {
    ++result_.ok;
    result_.latency.Add(latency);
    result_.image_errors += images_per_request_ - images;
    if (has_deadline && latency > pace_.deadline) ++result_.late;
  } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
             status.error_code() == grpc::StatusCode::UNAVAILABLE ||
             (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
              has_deadline && latency < pace_.deadline)) {
    result_.rejection.Add(latency);
    result_.rejection_since_sent.Add(now - sent);
  }
}

}  // namespace promptd::load

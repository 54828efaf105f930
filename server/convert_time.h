// Times and durations as protobuf's well-known types.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/error.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace promptd::server {

inline void ToProto(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

inline void ToProto(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

// A client's time; `field` names it in the error. INVALID_ARGUMENT
// (INVALID_TIME).
inline absl::StatusOr<absl::Time> FromProto(
    const google::protobuf::Timestamp& time, const std::string& field) {
  constexpr int64_t kMostSeconds = 253'402'300'799;  // of the year 9999
  if (time.seconds() < 0 || time.seconds() > kMostSeconds || time.nanos() < 0 ||
      time.nanos() > 999'999'999) {
    return InvalidFields("INVALID_TIME",
                         {{field, "must be a time of 1970 to 9999"}});
  }
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

}  // namespace promptd::server

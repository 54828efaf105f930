// Image files in as few calls as the server's limits allow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/session.h"
#include "promptd/v1/server.pb.h"

namespace promptd::client {

// Room for the rest of a request beside its images or texts.
inline constexpr int64_t kMessageOverhead = 64 << 10;

// Bytes of images or texts that one call may hold.
int64_t RoomPerCall(const v1::Limits& limits);

struct ImageBatch {
  std::vector<size_t> files;  // indexes into the files asked for
  std::vector<std::string> images;
  int64_t bytes = 0;
};

// Reads `files` in order and hands them to `send`, batch by batch; `refuse`
// gets each file that cannot be read. `label` names the progress bar. Ends at
// the first error of `send`.
absl::Status SendImages(
    Session& session, absl::string_view label, const v1::Limits& limits,
    const std::vector<std::string>& files,
    absl::FunctionRef<void(size_t file, const absl::Status&)> refuse,
    absl::FunctionRef<absl::Status(const ImageBatch&)> send);

// The server's limits.
absl::StatusOr<v1::Limits> GetLimits(Session& session);

}  // namespace promptd::client

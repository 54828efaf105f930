// A tar archive of a few files whose bytes follow from the files alone: no
// owners, no times, no folders. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::server {

struct TarMember {
  std::string name;  // at most 99 bytes
  std::string bytes;
};

// POSIX ustar, members in this order; equal members give equal bytes.
std::string PackTar(const std::vector<TarMember>& members);

// What PackTar made. INVALID_ARGUMENT (BAD_ARCHIVE) names the byte of anything
// else: other kinds of members, wrong sums, numbers that lead out of the
// archive, bytes in between or behind. Names are not looked at.
absl::StatusOr<std::vector<TarMember>> UnpackTar(absl::string_view tar);

}  // namespace promptd::server

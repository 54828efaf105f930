#include "wire/worker_token.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::wire {
namespace {

constexpr int64_t kMaxFileBytes = 4096;

}  // namespace

absl::Status CheckPrivate(const std::string& path, const std::string& what,
                          const std::string& reason) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & S_IRWXO) == 0) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, reason,
      absl::StrCat("everybody on this machine may open the ", what, " file ",
                   path, ": take that right away with `chmod o= ", path,
                   "` and, if others have seen it, make a new ", what));
}

absl::StatusOr<WorkerToken> WorkerToken::FromFile(const std::string& path) {
  RETURN_IF_ERROR(CheckPrivate(path, "token", "TOKEN_FILE_EXPOSED"));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  auto token = FromText(text);
  if (!token.ok()) return Annotate(token.status(), path);
  return token;
}

absl::StatusOr<WorkerToken> WorkerToken::FromText(absl::string_view text) {
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (token.size() < kMinBytes || !visible) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_TOKEN",
        absl::StrCat("a worker token is one line of at least ", kMinBytes,
                     " visible ASCII characters: make one with `openssl rand "
                     "-hex 32`"));
  }
  return WorkerToken(absl::StrCat("Bearer ", token));
}

bool WorkerToken::Matches(absl::string_view header) const {
  // Digests: of one length whatever was sent, and not to be steered.
  const std::string ours = Sha256Bytes(header_);
  const std::string theirs = Sha256Bytes(header);
  int difference = 0;
  for (size_t i = 0; i < ours.size(); ++i) difference |= ours[i] ^ theirs[i];
  return difference == 0;
}

}  // namespace promptd::wire

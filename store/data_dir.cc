#include "store/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "common/failpoint.h"

namespace promptd::store {
namespace {

constexpr int64_t kNfs = 0x6969;
constexpr char kLockFile[] = "promptd.lock";

absl::Status Unusable(const std::string& data_dir, absl::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "DATA_DIR_UNUSABLE",
                   absl::StrCat("cannot use the data directory ", data_dir,
                                ": ", why, ": choose another with --data-dir"));
}

absl::Status InUse(const std::string& data_dir, int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof(text) - 1, 0);
  int64_t pid = 0;
  const bool known =
      size > 0 && absl::SimpleAtoi(absl::StripSuffix(text, "\n"), &pid);
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "DATA_DIR_IN_USE",
      absl::StrCat("the data directory ", data_dir, " is in use by ",
                   known ? absl::StrCat("process ", pid) : "another process",
                   ": stop it, or choose another with --data-dir"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirLock>> DataDirLock::Acquire(
    const std::string& data_dir) {
  std::error_code error;
  std::filesystem::create_directories(data_dir, error);
  if (error) return Unusable(data_dir, error.message());
  const std::string path = absl::StrCat(data_dir, "/", kLockFile);
  const int fd =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return Unusable(data_dir, std::strerror(errno));
  std::unique_ptr<DataDirLock> lock(new DataDirLock(fd));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return InUse(data_dir, fd);
    return Unusable(data_dir, std::strerror(errno));
  }
  // For the message only: a full disk must not keep promptd from starting.
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) == 0) {
    const ssize_t ignored = ::pwrite(fd, pid.data(), pid.size(), 0);
    static_cast<void>(ignored);
  }
  return lock;
}

DataDirLock::~DataDirLock() { ::close(fd_); }

bool IsNetworkFileSystem(int64_t type) {
  switch (static_cast<uint32_t>(type)) {
    case 0x6969:      // NFS
    case 0x517b:      // SMB
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB 2
    case 0x65735546:  // FUSE
      return true;
    default:
      return false;
  }
}

absl::Status CheckLocalFileSystem(const std::string& data_dir) {
  struct statfs info;
  if (::statfs(data_dir.c_str(), &info) != 0) {
    return Unusable(data_dir, std::strerror(errno));
  }
  if (FailpointSpoils("data_dir.type")) info.f_type = kNfs;
  if (!IsNetworkFileSystem(static_cast<int64_t>(info.f_type))) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "NETWORK_FILE_SYSTEM",
      absl::StrCat("the data directory ", data_dir,
                   " is on a network file system, where a database can be "
                   "damaged: choose a local one with --data-dir"));
}

}  // namespace promptd::store

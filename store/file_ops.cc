#include "store/file_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"

namespace promptd::store {
namespace {

absl::Status WriteError(const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL",
                     absl::StrCat("no space left to write ", path,
                                  ": free some disk space and try again"));
  }
  return MakeError(
      absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
      absl::StrCat("cannot write ", path, ": ", std::strerror(error)));
}

absl::Status WriteAll(int fd, absl::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return WriteError(path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// As WriteAll; the failpoint finds half of the bytes written.
absl::Status WriteBlob(int fd, absl::string_view bytes,
                       const std::string& path) {
  if (FailpointsArmed()) {
    const size_t half = bytes.size() / 2;
    RETURN_IF_ERROR(WriteAll(fd, bytes.substr(0, half), path));
    const int error = FailpointError("blob.write");
    if (error != 0) return WriteError(path, error);
    bytes.remove_prefix(half);
  }
  return WriteAll(fd, bytes, path);
}

absl::Status SyncThrough(const std::string& folder, const char* failpoint,
                         int (*sync)(int)) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return WriteError(folder, errno);
  int error = FailpointError(failpoint);
  if (error == 0 && sync(fd) != 0) error = errno;
  ::close(fd);
  return error == 0 ? absl::OkStatus() : WriteError(folder, error);
}

}  // namespace

absl::Status WriteNewFile(const std::string& path, absl::string_view bytes,
                          bool sync) {
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return WriteError(path, errno);
  absl::Status status = WriteBlob(fd, bytes, path);
  if (status.ok() && sync) {
    const int error = FailpointError("blob.sync");
    if (error != 0 || ::fsync(fd) != 0) {
      status = WriteError(path, error != 0 ? error : errno);
    }
  }
  // Some file systems report a full disk only here.
  if (::close(fd) != 0 && status.ok()) status = WriteError(path, errno);
  if (!status.ok()) ::unlink(path.c_str());
  return status;
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  const int error = FailpointError("blob.rename");
  if (error != 0) return WriteError(to, error);
  if (::rename(from.c_str(), to.c_str()) != 0) return WriteError(to, errno);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  return SyncThrough(folder, "blob.folder", ::fsync);
}

absl::Status SyncFileSystemOf(const std::string& folder) {
  return SyncThrough(folder, "blob.sync", ::syncfs);
}

absl::Status MakeFolder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return WriteError(folder, errno);
  }
  return absl::OkStatus();
}

}  // namespace promptd::store

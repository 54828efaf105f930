#include "common/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/id.h"
#include "common/mapped_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

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
    if (written < 0) {
      if (errno == EINTR) continue;
      return WriteError(path, errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (::fsync(fd) != 0) return WriteError(path, errno);
  return absl::OkStatus();
}

absl::Status ReadError(const std::string& path, int error) {
  return MakeError(
      absl::StatusCode::kUnavailable, "FILE_READ_FAILED",
      absl::StrCat("cannot read ", path, ": ", std::strerror(error)));
}

// A regular file, open for reading.
absl::StatusOr<Descriptor> OpenRegular(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const int error = errno;
    return MakeError(
        error == ENOENT ? absl::StatusCode::kNotFound
                        : absl::StatusCode::kUnavailable,
        error == ENOENT ? "FILE_NOT_FOUND" : "FILE_READ_FAILED",
        absl::StrCat("cannot open ", path, ": ", std::strerror(error)));
  }
  struct stat info;
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_A_REGULAR_FILE",
                     absl::StrCat(path, " is not a regular file"));
  }
  return fd;
}

// Fills `size` bytes, fewer at the end of the file; how many.
absl::StatusOr<size_t> ReadUpTo(const Descriptor& fd, char* bytes, size_t size,
                                const std::string& path) {
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(fd.get(), bytes + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ReadError(path, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

absl::StatusOr<size_t> BoundedSize(const Descriptor& fd, int64_t max_bytes,
                                   const std::string& path) {
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ReadError(path, errno);
  if (info.st_size > max_bytes) {
    return MakeError(absl::StatusCode::kInvalidArgument, "FILE_TOO_LARGE",
                     absl::StrCat(path, " has ", info.st_size,
                                  " bytes; the limit is ", max_bytes));
  }
  return static_cast<size_t>(info.st_size);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(
    const std::string& path, int64_t max_bytes) {
  ASSIGN_OR_RETURN(const Descriptor fd, OpenRegular(path));
  ASSIGN_OR_RETURN(const size_t size, BoundedSize(fd, max_bytes, path));
  absl::string_view bytes;
  if (size > 0) {  // nothing cannot be mapped
    void* begin =
        ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), /*offset=*/0);
    if (begin == MAP_FAILED) return ReadError(path, errno);
    ::madvise(begin, size, MADV_WILLNEED);
    bytes = absl::string_view(static_cast<const char*>(begin), size);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(bytes));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     int64_t max_bytes) {
  ASSIGN_OR_RETURN(const Descriptor fd, OpenRegular(path));
  ASSIGN_OR_RETURN(const size_t size, BoundedSize(fd, max_bytes, path));
  std::string bytes(size, '\0');
  ASSIGN_OR_RETURN(const size_t filled,
                   ReadUpTo(fd, bytes.data(), bytes.size(), path));
  bytes.resize(filled);
  return bytes;
}

absl::StatusOr<std::string> ReadFileRange(const std::string& path,
                                          int64_t offset, int64_t bytes) {
  ASSIGN_OR_RETURN(const Descriptor fd, OpenRegular(path));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ReadError(path, errno);
  // Before anything of that size is reserved.
  if (offset < 0 || bytes < 0 || offset > info.st_size ||
      bytes > info.st_size - offset) {
    return MakeError(
        absl::StatusCode::kOutOfRange, "FILE_TOO_SHORT",
        absl::StrCat(path, " has ", info.st_size, " bytes; ", bytes,
                     " are needed from byte ", offset, " on"));
  }
  if (::lseek(fd.get(), offset, SEEK_SET) < 0) return ReadError(path, errno);
  std::string range(static_cast<size_t>(bytes), '\0');
  ASSIGN_OR_RETURN(const size_t filled,
                   ReadUpTo(fd, range.data(), range.size(), path));
  range.resize(filled);
  return range;
}

absl::StatusOr<std::string> HashFile(const std::string& path,
                                     const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(const Descriptor fd, OpenRegular(path));
  std::string piece(kPieceBytes, '\0');
  Sha256 digest;
  size_t filled = 0;
  do {
    if (cancelled && cancelled()) {
      return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                       absl::StrCat("stopped while reading ", path));
    }
    ASSIGN_OR_RETURN(filled, ReadUpTo(fd, piece.data(), piece.size(), path));
    digest.Update(absl::string_view(piece).substr(0, filled));
  } while (filled == piece.size());
  return digest.HexDigest();
}

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".tmp-", NewUuid());
  absl::Status status;
  {
    const Descriptor fd(::open(temporary.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (fd.get() < 0) return WriteError(path, errno);
    status = WriteAll(fd.get(), bytes, path);
  }
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = WriteError(path, errno);
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return SyncFolder(folder.empty() ? "." : folder);
}

absl::Status SyncFolder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return WriteError(folder, errno);
  return absl::OkStatus();
}

}  // namespace promptd

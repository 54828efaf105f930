#include "store/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/file.h"
#include "common/id.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "store/file_ops.h"

namespace promptd::store {
namespace {

constexpr int64_t kMaxBlobBytes = int64_t{4} << 30;

absl::Status NotFound(const std::string& digest) {
  return MakeError(absl::StatusCode::kNotFound, "BLOB_NOT_FOUND",
                   absl::StrCat("no blob ", digest, " is stored"));
}

absl::Status Corrupt(const std::string& digest) {
  return MakeError(
      absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
      absl::StrCat("the stored blob ", digest,
                   " does not match its digest: restore it from a backup"));
}

// The size of a regular file; negative when there is none.
int64_t FileSize(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  return info.st_size;
}

}  // namespace

BlobStore::BlobStore(std::string folder, const BlobStoreOptions& options)
    : folder_(std::move(folder)), options_(options) {}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(
    const std::string& folder, const BlobStoreOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return MakeError(
        absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
        absl::StrCat("cannot make ", folder, ": ", error.message()));
  }
  const std::string temporary = absl::StrCat(folder, "/tmp");
  std::filesystem::remove_all(temporary, error);
  RETURN_IF_ERROR(MakeFolder(temporary));
  for (int i = 0; i < 256; ++i) {
    RETURN_IF_ERROR(MakeFolder(absl::StrFormat("%s/%02x", folder, i)));
  }
  RETURN_IF_ERROR(SyncFolder(folder));
  std::unique_ptr<BlobStore> blobs(new BlobStore(folder, options));
  if (options.max_bytes > 0) {
    RETURN_IF_ERROR(blobs->ForEach(
        [&blobs](const BlobEntry& blob) { blobs->used_bytes_ += blob.bytes; }));
  }
  return blobs;
}

absl::StatusOr<std::string> BlobStore::Put(absl::string_view bytes) {
  const std::string digest = Sha256Hex(bytes);
  const std::string path = PathOf(digest);
  const int64_t size = static_cast<int64_t>(bytes.size());
  // Another size can only be damage: write the file again.
  if (FileSize(path) != size || !Keep(digest)) {
    RETURN_IF_ERROR(CheckRoom(size));
    ASSIGN_OR_RETURN(const std::string temporary,
                     WriteTemporary(bytes, /*sync=*/true));
    const absl::Status renamed = Adopt(temporary, digest);
    if (!renamed.ok()) {
      ::unlink(temporary.c_str());
      return renamed;
    }
  }
  RETURN_IF_ERROR(SyncFolder(absl::StrCat(folder_, "/", digest.substr(0, 2))));
  return digest;
}

absl::StatusOr<std::string> BlobStore::Get(const std::string& digest) const {
  if (!Has(digest)) return NotFound(digest);
  if (FailpointError("blob.read") != 0) {
    return MakeError(absl::StatusCode::kUnavailable, "FILE_READ_FAILED",
                     absl::StrCat("cannot read ", PathOf(digest)));
  }
  absl::StatusOr<std::string> bytes = ReadFile(PathOf(digest), kMaxBlobBytes);
  if (bytes.ok()) FailpointDamage("blob.bytes", &*bytes);
  if (!bytes.ok()) {
    if (ErrorReason(bytes.status()) == "FILE_READ_FAILED") {
      return bytes.status();
    }
    return bytes.status().code() == absl::StatusCode::kNotFound
               ? NotFound(digest)
               : Corrupt(digest);
  }
  if (Sha256Hex(*bytes) != digest) return Corrupt(digest);
  return bytes;
}

bool BlobStore::Has(const std::string& digest) const {
  return IsSha256Hex(digest) && FileSize(PathOf(digest)) >= 0;
}

absl::StatusOr<int64_t> BlobStore::Size(const std::string& digest) const {
  const int64_t size = IsSha256Hex(digest) ? FileSize(PathOf(digest)) : -1;
  if (size < 0) return NotFound(digest);
  return size;
}

bool BlobStore::Keep(const std::string& digest) {
  if (!Has(digest)) return false;
  const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  absl::MutexLock lock(&removal_mutex_);
  return ::utimensat(AT_FDCWD, PathOf(digest).c_str(), now,
                     AT_SYMLINK_NOFOLLOW) == 0;
}

absl::StatusOr<bool> BlobStore::Remove(const std::string& digest,
                                       absl::Time untouched_since) {
  if (!IsSha256Hex(digest)) return false;
  const std::string path = PathOf(digest);
  struct stat info;
  absl::MutexLock lock(&removal_mutex_);
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (absl::TimeFromTimespec(info.st_mtim) >= untouched_since) return false;
  if (FailpointError("blob.remove") != 0 || ::unlink(path.c_str()) != 0) {
    return MakeError(absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
                     absl::StrCat("cannot delete the blob ", digest));
  }
  used_bytes_ -= info.st_size;
  return true;
}

absl::Status BlobStore::ForEach(
    const std::function<void(const BlobEntry&)>& visit) const {
  for (int i = 0; i < 256; ++i) {
    const std::string prefix = absl::StrFormat("%02x", i);
    std::error_code error;
    std::filesystem::directory_iterator files(
        absl::StrCat(folder_, "/", prefix), error);
    std::vector<std::string> digests;
    for (; !error && files != std::filesystem::directory_iterator();
         files.increment(error)) {
      digests.push_back(prefix + files->path().filename().string());
    }
    if (error) {
      return MakeError(absl::StatusCode::kUnavailable, "FILE_READ_FAILED",
                       absl::StrCat("cannot list the blobs of ", folder_, "/",
                                    prefix, ": ", error.message()));
    }
    std::sort(digests.begin(), digests.end());
    struct stat info;
    for (const std::string& digest : digests) {
      if (!IsSha256Hex(digest) || ::lstat(PathOf(digest).c_str(), &info) != 0 ||
          !S_ISREG(info.st_mode)) {
        continue;
      }
      visit({digest, info.st_size, absl::TimeFromTimespec(info.st_mtim)});
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<BlobBatch> BlobStore::NewBatch() {
  return std::unique_ptr<BlobBatch>(new BlobBatch(this));
}

std::string BlobStore::PathOf(const std::string& digest) const {
  return absl::StrCat(folder_, "/", digest.substr(0, 2), "/", digest.substr(2));
}

absl::StatusOr<std::string> BlobStore::WriteTemporary(absl::string_view bytes,
                                                      bool sync) const {
  const std::string path = absl::StrCat(folder_, "/tmp/", NewUuid());
  RETURN_IF_ERROR(WriteNewFile(path, bytes, sync));
  return path;
}

absl::Status BlobStore::CheckRoom(int64_t bytes) const {
  const int64_t most = options_.max_bytes;
  if (most == 0 || used_bytes_ + bytes <= most) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "STORAGE_QUOTA",
      absl::StrCat("the blobs take ", used_bytes_.load(), " of ", most,
                   " bytes, ", bytes,
                   " more do not fit: delete versions and datasets that are "
                   "not needed and run `promptctl gc`, or start promptd with "
                   "a larger --max-blob-bytes"));
}

absl::Status BlobStore::Adopt(const std::string& temporary,
                              const std::string& digest) {
  const int64_t bytes = FileSize(temporary);
  absl::MutexLock lock(&removal_mutex_);
  const int64_t before = std::max<int64_t>(0, FileSize(PathOf(digest)));
  RETURN_IF_ERROR(RenameFile(temporary, PathOf(digest)));
  used_bytes_ += bytes - before;
  return absl::OkStatus();
}

absl::Status BlobStore::SyncFileSystem() const {
  return SyncFileSystemOf(folder_);
}

}  // namespace promptd::store

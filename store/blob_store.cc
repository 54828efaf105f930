#include "store/blob_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"
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

BlobStore::BlobStore(std::string folder) : folder_(std::move(folder)) {}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(
    const std::string& folder) {
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
  return std::unique_ptr<BlobStore>(new BlobStore(folder));
}

absl::StatusOr<std::string> BlobStore::Put(absl::string_view bytes) {
  const std::string digest = Sha256Hex(bytes);
  const std::string path = PathOf(digest);
  // Another size can only be damage: write the file again.
  if (FileSize(path) != static_cast<int64_t>(bytes.size())) {
    ASSIGN_OR_RETURN(const std::string temporary,
                     WriteTemporary(bytes, /*sync=*/true));
    const absl::Status renamed = RenameFile(temporary, path);
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
  absl::StatusOr<std::string> bytes = ReadFile(PathOf(digest), kMaxBlobBytes);
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

absl::Status BlobStore::SyncFileSystem() const {
  return SyncFileSystemOf(folder_);
}

}  // namespace promptd::store

#include "wire/blob_cache.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::wire {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxBlobBytes = int64_t{4} << 30;
constexpr char kTemporary[] = "tmp-";

absl::Status NotFound(const std::string& digest) {
  return MakeError(absl::StatusCode::kNotFound, "BLOB_NOT_FOUND",
                   absl::StrCat("there is no blob ", digest));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobCache>> BlobCache::Open(
    const std::string& folder, int64_t max_bytes) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return MakeError(
        absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
        absl::StrCat("cannot make the folder ", folder, ": ", error.message()));
  }
  std::unique_ptr<BlobCache> cache(new BlobCache(folder, max_bytes));
  cache->TakeOver();
  return cache;
}

void BlobCache::TakeOver() {
  std::vector<std::pair<fs::file_time_type, Entry>> found;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder_, ignored)) {
    const std::string name = file.path().filename().string();
    if (name.rfind(kTemporary, 0) == 0) {
      fs::remove(file.path(), ignored);
    } else if (IsSha256Hex(name) && file.is_regular_file(ignored)) {
      found.push_back({file.last_write_time(ignored),
                       {name, static_cast<int64_t>(file.file_size(ignored))}});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  absl::MutexLock lock(&mutex_);
  for (const auto& [time, entry] : found) {
    InsertLocked(entry.digest, entry.bytes);
  }
}

std::string BlobCache::PathOf(const std::string& digest) const {
  return absl::StrCat(folder_, "/", digest);
}

absl::StatusOr<std::string> BlobCache::Get(const std::string& digest) {
  if (!IsSha256Hex(digest)) return NotFound(digest);
  {
    absl::MutexLock lock(&mutex_);
    const auto found = index_.find(digest);
    if (found == index_.end()) return NotFound(digest);
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  auto bytes = ReadFile(PathOf(digest), kMaxBlobBytes);
  if (bytes.ok()) FailpointDamage("cache.bytes", &*bytes);
  if (bytes.ok() && Sha256Hex(*bytes) == digest) {
    std::error_code ignored;
    fs::last_write_time(PathOf(digest), fs::file_time_type::clock::now(),
                        ignored);
    return bytes;
  }
  absl::MutexLock lock(&mutex_);
  RemoveLocked(digest);
  return NotFound(digest);
}

void BlobCache::Put(const std::string& digest, absl::string_view bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (size > max_bytes_ || !IsSha256Hex(digest)) return;
  std::string temporary;
  {
    absl::MutexLock lock(&mutex_);
    if (index_.contains(digest)) return;
    temporary = absl::StrCat(folder_, "/", kTemporary, next_temporary_++);
  }
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::error_code error;
  if (file) fs::rename(temporary, PathOf(digest), error);
  if (!file || error) {
    fs::remove(temporary, error);
    return;
  }
  absl::MutexLock lock(&mutex_);
  InsertLocked(digest, size);
}

int64_t BlobCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

void BlobCache::InsertLocked(const std::string& digest, int64_t bytes) {
  if (index_.contains(digest)) return;
  entries_.push_front({digest, bytes});
  index_[digest] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > max_bytes_) RemoveLocked(entries_.back().digest);
}

void BlobCache::RemoveLocked(const std::string& digest) {
  const std::string name = digest;  // may live in the entry
  const auto found = index_.find(name);
  if (found == index_.end()) return;
  bytes_ -= found->second->bytes;
  entries_.erase(found->second);
  index_.erase(found);
  std::error_code ignored;
  fs::remove(PathOf(name), ignored);
}

absl::StatusOr<std::string> ReadSharedBlob(const std::string& folder,
                                           const std::string& digest) {
  if (!IsSha256Hex(digest)) return NotFound(digest);
  auto bytes = ReadFile(
      absl::StrCat(folder, "/", digest.substr(0, 2), "/", digest.substr(2)),
      kMaxBlobBytes);
  if (absl::IsNotFound(bytes.status())) return NotFound(digest);
  RETURN_IF_ERROR(bytes.status());
  if (Sha256Hex(*bytes) != digest) {
    return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                     absl::StrCat("the bytes of blob ", digest,
                                  " have changed in ", folder));
  }
  return bytes;
}

}  // namespace promptd::wire

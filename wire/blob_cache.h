// Blobs of a front end on this machine, bounded in bytes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace promptd::wire {

// One file a blob; the least recently used goes first. What is here may be lost
// at any time: nothing is synced, and a file that is not what its name says is
// removed. Thread-safe; one process a folder.
class BlobCache {
 public:
  // Makes the folder when missing and takes over what an earlier run left.
  // UNAVAILABLE (FILE_WRITE_FAILED).
  static absl::StatusOr<std::unique_ptr<BlobCache>> Open(
      const std::string& folder, int64_t max_bytes);

  BlobCache(const BlobCache&) = delete;
  BlobCache& operator=(const BlobCache&) = delete;

  // The bytes, whose SHA-256 is `digest`. NOT_FOUND (BLOB_NOT_FOUND).
  absl::StatusOr<std::string> Get(const std::string& digest);
  // Keeps bytes if they can be kept; `digest` is their SHA-256.
  void Put(const std::string& digest, absl::string_view bytes);

  int64_t bytes() const;

 private:
  struct Entry {
    std::string digest;
    int64_t bytes = 0;
  };

  BlobCache(std::string folder, int64_t max_bytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}

  void TakeOver();
  std::string PathOf(const std::string& digest) const;
  void InsertLocked(const std::string& digest, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveLocked(const std::string& digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const int64_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_
      ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_temporary_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The blob in a front end's own folder, DIR/ab/cdef..., as store::BlobStore
// lays it out, read through a file system that both share. NOT_FOUND
// (BLOB_NOT_FOUND); DATA_LOSS (BLOB_CORRUPT); UNAVAILABLE (FILE_READ_FAILED).
absl::StatusOr<std::string> ReadSharedBlob(const std::string& folder,
                                           const std::string& digest);

}  // namespace promptd::wire

// Immutable bytes named by their SHA-256, one file each: DIR/ab/cdef...
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::store {

class BlobBatch;

struct BlobStoreOptions {
  // Of all blobs; 0: no bound. What is under way at the same time may pass it.
  int64_t max_bytes = 0;
};

// One stored blob. `touched` is when it was last stored or kept.
struct BlobEntry {
  std::string digest;
  int64_t bytes = 0;
  absl::Time touched;
};

// Thread-safe. Every write goes to DIR/tmp first and gets its name only once
// its bytes are on disk, so a name that exists is a whole blob.
class BlobStore {
 public:
  // Makes the folder when missing and removes what a crash left in DIR/tmp.
  // RESOURCE_EXHAUSTED (DISK_FULL); UNAVAILABLE (FILE_WRITE_FAILED).
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(
      const std::string& folder, const BlobStoreOptions& options = {});

  BlobStore(const BlobStore&) = delete;
  BlobStore& operator=(const BlobStore&) = delete;

  // Stores bytes durably and returns their digest; again it only keeps them.
  // RESOURCE_EXHAUSTED (DISK_FULL, STORAGE_QUOTA) leaves nothing behind;
  // UNAVAILABLE (FILE_WRITE_FAILED).
  absl::StatusOr<std::string> Put(absl::string_view bytes);

  // The bytes, verified. NOT_FOUND (BLOB_NOT_FOUND), also for a digest that
  // is none; DATA_LOSS (BLOB_CORRUPT) names the digest; UNAVAILABLE
  // (FILE_READ_FAILED).
  absl::StatusOr<std::string> Get(const std::string& digest) const;

  // Whether the blob is there (its bytes are not read), and its size.
  // NOT_FOUND (BLOB_NOT_FOUND).
  bool Has(const std::string& digest) const;
  absl::StatusOr<int64_t> Size(const std::string& digest) const;

  // Has, for one who is about to refer to the blob: it counts as touched, so
  // that Remove leaves it.
  bool Keep(const std::string& digest);
  // Deletes a blob that was not touched since; whether it did. UNAVAILABLE
  // (FILE_WRITE_FAILED).
  absl::StatusOr<bool> Remove(const std::string& digest,
                              absl::Time untouched_since);
  // Calls for every blob there is, in the order of their digests. UNAVAILABLE
  // (FILE_READ_FAILED).
  absl::Status ForEach(
      const std::function<void(const BlobEntry&)>& visit) const;
  // Of all blobs, and the bound on them; 0 where there is none.
  int64_t used_bytes() const { return used_bytes_; }
  int64_t max_bytes() const { return options_.max_bytes; }

  // For many blobs at the cost of one sync; see BlobBatch. The store must
  // outlive the batch.
  std::unique_ptr<BlobBatch> NewBatch();

 private:
  friend class BlobBatch;
  BlobStore(std::string folder, const BlobStoreOptions& options);

  std::string PathOf(const std::string& digest) const;
  // A new file in DIR/tmp with these bytes, synced or not; its path.
  absl::StatusOr<std::string> WriteTemporary(absl::string_view bytes,
                                             bool sync) const;
  absl::Status SyncFileSystem() const;
  // RESOURCE_EXHAUSTED (STORAGE_QUOTA).
  absl::Status CheckRoom(int64_t bytes) const;
  // Gives a written file its blob's name.
  absl::Status Adopt(const std::string& temporary, const std::string& digest);

  const std::string folder_;
  const BlobStoreOptions options_;
  std::atomic<int64_t> used_bytes_ = 0;
  // Held from looking at a blob's time to acting on it.
  absl::Mutex removal_mutex_;
};

// Blobs that become durable and visible together, in groups: the file system
// is synced once a group instead of once a file. Dropping the batch discards
// what was not flushed. Thread-compatible: one batch, one upload.
class BlobBatch {
 public:
  ~BlobBatch();
  BlobBatch(const BlobBatch&) = delete;
  BlobBatch& operator=(const BlobBatch&) = delete;

  // Adds bytes and returns their digest. Not visible before a flush; flushes
  // by itself every 512 blobs or 64 MiB. Errors as BlobStore::Put.
  absl::StatusOr<std::string> Put(absl::string_view bytes);

  // Makes everything added so far durable and visible. Call before saying OK.
  absl::Status Flush();

 private:
  friend class BlobStore;
  struct Pending {
    std::string temporary;
    std::string digest;
  };
  explicit BlobBatch(BlobStore* store) : store_(store) {}
  void Discard();

  BlobStore* const store_;
  std::vector<Pending> pending_;
  int64_t pending_bytes_ = 0;
};

}  // namespace promptd::store

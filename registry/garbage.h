// Garbage collection: deletes blobs that nothing refers to.
//
// What is kept: what versions and their manifests name, datasets with their
// images, image features that were used lately or since an unfinished job
// began, checkpoints and everything named in the specification of unfinished
// jobs, and for a week the checkpoints of those that failed or were cancelled,
// so that they can be retried.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "store/blob_store.h"
#include "store/database.h"

namespace promptd::registry {

struct GarbageOptions {
  bool dry_run = false;
  // A blob that was touched since is left: a record that refers to it may
  // still be on its way. Longer than any upload or publication takes.
  absl::Duration grace = absl::Hours(24);
  // Image features are forgotten when nobody used them for so long.
  absl::Duration keep_features = absl::InfiniteDuration();
  // Asked before each blob is deleted: whether to leave it at that.
  std::function<bool()> stop = [] { return false; };
};

struct BlobCount {
  int64_t blobs = 0;
  int64_t bytes = 0;
};

struct GarbageReport {
  BlobCount kept;        // something refers to them
  BlobCount young;       // nothing does, but they are within the grace
  BlobCount garbage;     // deleted, or would have been
  int64_t features = 0;  // image features that were forgotten
};

// Reads the database in short transactions beside other work. When a dataset's
// manifest cannot be read nothing is deleted: DATA_LOSS (BLOB_CORRUPT),
// NOT_FOUND (BLOB_NOT_FOUND). Also the stores' errors.
absl::StatusOr<GarbageReport> CollectGarbage(store::Database* db,
                                             store::BlobStore* blobs,
                                             const Clock& clock,
                                             const GarbageOptions& options);

}  // namespace promptd::registry

// A job's checkpoint as the context that another job starts from.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "jobs/job.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"

namespace promptd::server {

struct FoundCheckpoint {
  jobs::Job job;
  jobs::Checkpoint checkpoint;
};

// One of those that are listed; number 0 is the last. NOT_FOUND (JOB_NOT_FOUND,
// CHECKPOINT_NOT_FOUND). Reads the database: call on the pool.
absl::StatusOr<FoundCheckpoint> FindCheckpoint(const Backend& backend,
                                               const std::string& tenant,
                                               const v1::CheckpointRef& ref);

// Stores the context that the checkpoint holds, of `tokens` and `width`, as a
// blob of its own; its digest. NOT_FOUND (BLOB_NOT_FOUND); DATA_LOSS
// (BLOB_CORRUPT); also the blob store's errors.
absl::StatusOr<std::string> StoreContextOf(const Backend& backend,
                                           const jobs::Checkpoint& checkpoint,
                                           int tokens, int width);

}  // namespace promptd::server

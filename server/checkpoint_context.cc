#include "server/checkpoint_context.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "store/blob_store.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

absl::Status NotFound(const jobs::Job& job, int number,
                      const std::vector<jobs::Checkpoint>& listed) {
  std::string why;
  if (job.state == jobs::JobState::kSucceeded) {
    why = absl::StrCat(
        "it has succeeded and its checkpoints went: start from "
        "what it published, ",
        job.task, ":", job.version);
  } else if (listed.empty()) {
    why = "none of it is stored";
  } else {
    why = absl::StrCat(
        "stored are ",
        absl::StrJoin(listed, ", ",
                      [](std::string* out, const jobs::Checkpoint& checkpoint) {
                        absl::StrAppend(out, checkpoint.number);
                      }));
  }
  return MakeError(
      absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND",
      absl::StrCat("job ", job.id, " has no checkpoint",
                   number == 0 ? "" : absl::StrCat(" ", number), ": ", why));
}

}  // namespace

absl::StatusOr<FoundCheckpoint> FindCheckpoint(const Backend& backend,
                                               const std::string& tenant,
                                               const v1::CheckpointRef& ref) {
  FoundCheckpoint found;
  ASSIGN_OR_RETURN(found.job, backend.jobs->Get(tenant, ref.job()));
  ASSIGN_OR_RETURN(const std::vector<jobs::Checkpoint> listed,
                   backend.jobs->Checkpoints(tenant, ref.job()));
  for (const jobs::Checkpoint& checkpoint : listed) {
    if (ref.number() != 0 && checkpoint.number != ref.number()) continue;
    found.checkpoint = checkpoint;
    return found;
  }
  return NotFound(found.job, ref.number(), listed);
}

absl::StatusOr<std::string> StoreContextOf(const Backend& backend,
                                           const jobs::Checkpoint& checkpoint,
                                           int tokens, int width) {
  backend.blobs->Keep(checkpoint.blob_digest);  // it may be about to go
  ASSIGN_OR_RETURN(const std::string bytes,
                   backend.blobs->Get(checkpoint.blob_digest));
  ASSIGN_OR_RETURN(const FloatTensor context,
                   worker::ContextOfCheckpoint(bytes));
  const std::vector<int64_t>& shape = context.shape;
  if (shape.back() != width || shape[shape.size() - 2] != tokens) {
    return MakeError(
        absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
        absl::StrCat("the checkpoint ", checkpoint.blob_digest,
                     " holds a context of another shape than its job's"));
  }
  ASSIGN_OR_RETURN(const std::string stored,
                   worker::SerializeTensor("ctx", context));
  return backend.blobs->Put(stored);
}

}  // namespace promptd::server

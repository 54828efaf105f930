// What makes a repeated request to create a job "the same".
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "jobs/job.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"
#include "store/database.h"

namespace promptd::server {

struct JobRequest {
  std::string request_id;   // empty: not idempotent
  std::string body_sha256;  // of the specification as the client sent it
  // The job that the same request made before.
  std::optional<jobs::Job> earlier;
};

// Looks for the job that this request made before: called ahead of validation,
// so that the answer stays the same when the world has changed.
// INVALID_ARGUMENT (INVALID_REQUEST_ID); ALREADY_EXISTS (REQUEST_ID_REUSED).
absl::StatusOr<JobRequest> FindJobRequest(
    const Backend& backend, const std::string& tenant,
    const std::string& request_id,
    const google::protobuf::MessageLite& specification);

// A client's choice; none means normal. INVALID_ARGUMENT (INVALID_PRIORITY).
absl::StatusOr<jobs::Priority> ToPriority(v1::JobPriority asked);

// The dataset may have gone or been replaced since it was read. NOT_FOUND
// (DATASET_NOT_FOUND); ABORTED (DATASET_CHANGED).
absl::Status CheckDatasetUnchanged(const Backend& backend,
                                   store::Transaction& tx,
                                   const std::string& tenant,
                                   const std::string& name,
                                   const std::string& digest);

}  // namespace promptd::server

#include "server/job_request.h"

#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "jobs/job_store.h"
#include "registry/registry.h"

namespace promptd::server {
namespace {

constexpr size_t kMaxRequestIdBytes = 64;

std::string BodyDigest(const google::protobuf::MessageLite& specification) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    specification.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

bool SaneRequestId(const std::string& text) {
  if (text.size() > kMaxRequestIdBytes) return false;
  for (const char c : text) {
    if (c < 0x21 || c > 0x7E) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<JobRequest> FindJobRequest(
    const Backend& backend, const std::string& tenant,
    const std::string& request_id,
    const google::protobuf::MessageLite& specification) {
  if (!SaneRequestId(request_id)) {
    return InvalidFields(
        "INVALID_REQUEST_ID",
        {{"request_id", "must be at most 64 visible ASCII characters"}});
  }
  JobRequest request;
  request.request_id = request_id;
  request.body_sha256 = BodyDigest(specification);
  if (!request_id.empty()) {
    ASSIGN_OR_RETURN(
        request.earlier,
        backend.jobs->FindByRequest(tenant, request_id, request.body_sha256));
  }
  return request;
}

absl::StatusOr<jobs::Priority> ToPriority(v1::JobPriority asked) {
  if (asked == v1::JOB_PRIORITY_UNSPECIFIED) return jobs::Priority::kNormal;
  if (v1::JobPriority_IsValid(asked)) return static_cast<jobs::Priority>(asked);
  return InvalidFields("INVALID_PRIORITY",
                       {{"priority", "must be interactive, normal or batch"}});
}

absl::Status CheckDatasetUnchanged(const Backend& backend,
                                   store::Transaction& tx,
                                   const std::string& tenant,
                                   const std::string& name,
                                   const std::string& digest) {
  ASSIGN_OR_RETURN(const registry::Dataset dataset,
                   backend.registry->datasets().Get(tx, tenant, name));
  if (dataset.digest == digest) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted, "DATASET_CHANGED",
                   "the dataset was replaced meanwhile: repeat the call");
}

}  // namespace promptd::server

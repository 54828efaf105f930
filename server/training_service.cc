#include "server/training_service.h"

#include <optional>

#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "server/convert_job.h"
#include "server/paging.h"
#include "server/spec_resolver.h"
#include "server/watch_stream.h"

namespace promptd::server {
namespace {

constexpr size_t kMaxRequestIdBytes = 64;

// Of the specification as the client sent it: what makes a repeated request
// "the same".
std::string BodyDigest(const v1::TrainingSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
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

TrainingServiceImpl::TrainingServiceImpl(const Backend* backend,
                                         WatchLoop* watches)
    : backend_(*backend),
      watches_(watches),
      rpc_("promptd.v1.TrainingService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* TrainingServiceImpl::CreateTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::CreateTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "CreateTrainingJob",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          Create(call.principal().tenant, *request));
                      return ToProto(job, reply);
                    });
}

absl::StatusOr<jobs::Job> TrainingServiceImpl::Create(
    const std::string& tenant,
    const v1::CreateTrainingJobRequest& request) const {
  if (!SaneRequestId(request.request_id())) {
    return InvalidFields(
        "INVALID_REQUEST_ID",
        {{"request_id", "must be at most 64 visible ASCII characters"}});
  }
  const std::string body = BodyDigest(request.spec());
  if (!request.request_id().empty()) {
    // Before validation: the answer stays the same when the world has changed.
    ASSIGN_OR_RETURN(
        std::optional<jobs::Job> earlier,
        backend_.jobs->FindByRequest(tenant, request.request_id(), body));
    if (earlier) return *std::move(earlier);
  }
  ASSIGN_OR_RETURN(const ResolvedSpec resolved,
                   ResolveSpec(backend_, tenant, request.spec()));
  jobs::NewJob job;
  job.tenant = tenant;
  job.task = resolved.spec.task;
  job.spec_json = worker::TrainingSpecToJson(resolved.spec);
  job.encoder_digest = resolved.spec.encoder_digest;
  job.dataset_digest = resolved.spec.dataset_digest;
  job.request_id = request.request_id();
  job.body_sha256 = body;
  return Enqueue(resolved, job);
}

absl::StatusOr<jobs::Job> TrainingServiceImpl::Enqueue(
    const ResolvedSpec& resolved, const jobs::NewJob& job) const {
  const worker::TrainingSpec& spec = resolved.spec;
  jobs::Job created;
  const absl::Status written =
      backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
        // The dataset may have gone or been replaced since it was read.
        ASSIGN_OR_RETURN(
            const registry::Dataset dataset,
            backend_.registry->datasets().Get(tx, job.tenant, spec.dataset));
        if (dataset.digest != spec.dataset_digest) {
          return MakeError(absl::StatusCode::kAborted, "DATASET_CHANGED",
                           "the dataset was replaced meanwhile: repeat the "
                           "call");
        }
        RETURN_IF_ERROR(
            backend_.registry->prompts()
                .CreateTaskIfMissing(tx, job.tenant, spec.task, spec.encoder,
                                     spec.encoder_digest, resolved.class_names)
                .status());
        ASSIGN_OR_RETURN(created, backend_.jobs->Create(tx, job));
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(written);
  return created;
}

grpc::ServerUnaryReactor* TrainingServiceImpl::GetTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::GetTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(
      context, "GetTrainingJob",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const jobs::Job job,
            backend_.jobs->Get(call.principal().tenant, request->id()));
        return ToProto(job, reply);
      });
}

grpc::ServerUnaryReactor* TrainingServiceImpl::ListTrainingJobs(
    grpc::CallbackServerContext* context,
    const v1::ListTrainingJobsRequest* request,
    v1::ListTrainingJobsResponse* reply) {
  return rpc_.Unary(
      context, "ListTrainingJobs",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListTrainingJobs", *request));
        ASSIGN_OR_RETURN(auto jobs, backend_.jobs->List(call.principal().tenant,
                                                        request->task(), page));
        for (const jobs::Job& job : jobs.items) {
          RETURN_IF_ERROR(ToProto(job, reply->add_jobs()));
        }
        reply->set_next_page_token(
            SealPageToken("ListTrainingJobs", jobs.next_page_token));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* TrainingServiceImpl::CancelTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::CancelTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "CancelTrainingJob",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          Cancel(call.principal().tenant, request->id()));
                      return ToProto(job, reply);
                    });
}

absl::StatusOr<jobs::Job> TrainingServiceImpl::Cancel(const std::string& tenant,
                                                      int64_t id) const {
  ASSIGN_OR_RETURN(const jobs::Job before, backend_.jobs->Get(tenant, id));
  ASSIGN_OR_RETURN(jobs::Job after, backend_.jobs->RequestCancel(tenant, id));
  if (!jobs::IsTerminal(before.state) && jobs::IsTerminal(after.state)) {
    backend_.metrics->JobFinished(std::string(jobs::JobStateName(after.state)));
  }
  return after;
}

grpc::ServerWriteReactor<v1::JobEvent>* TrainingServiceImpl::WatchTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::WatchTrainingJobRequest* request) {
  return WatchStream::Start(rpc_.Begin(context, "WatchTrainingJob"), watches_,
                            backend_.jobs, request->id(),
                            request->from_sequence());
}

}  // namespace promptd::server

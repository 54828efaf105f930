#include "server/training_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/failpoint.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/context_upload.h"
#include "server/convert_job.h"
#include "server/fleet.h"
#include "server/job_estimate.h"
#include "server/job_request.h"
#include "server/paging.h"
#include "server/spec_resolver.h"
#include "server/watch_stream.h"
#include "store/database.h"

namespace promptd::server {

TrainingServiceImpl::TrainingServiceImpl(const Backend* backend,
                                         WatchLoop* watches)
    : backend_(*backend),
      watches_(watches),
      rpc_("promptd.v1.TrainingService", backend->metrics, backend->pool),
      uploads_(backend->limits.max_context_uploads) {}

grpc::ServerUnaryReactor* TrainingServiceImpl::CreateTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::CreateTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "CreateTrainingJob",
                    [this, request, reply](const Call& call) {
                      return Create(call.principal().tenant, *request, reply);
                    });
}

absl::Status TrainingServiceImpl::Create(
    const std::string& tenant, const v1::CreateTrainingJobRequest& request,
    v1::TrainingJob* reply) const {
  ASSIGN_OR_RETURN(
      const JobRequest sent,
      FindJobRequest(backend_, tenant, request.request_id(), request.spec()));
  if (sent.earlier) return ToProto(*sent.earlier, reply);
  jobs::NewJob job;
  ASSIGN_OR_RETURN(job.priority, ToPriority(request.priority()));
  ASSIGN_OR_RETURN(const ResolvedSpec resolved,
                   ResolveSpec(backend_, tenant, request.spec()));
  if (request.validate_only()) {
    ASSIGN_OR_RETURN(*reply->mutable_estimate(),
                     EstimateJob(backend_, tenant, resolved));
    reply->set_kind(v1::JOB_KIND_TRAIN);
    ToProto(resolved.spec, reply->mutable_spec());
    return absl::OkStatus();
  }
  job.tenant = tenant;
  job.task = resolved.spec.task;
  job.spec_json = worker::TrainingSpecToJson(resolved.spec);
  job.encoder_digest = resolved.spec.encoder_digest;
  job.dataset_digest = resolved.spec.dataset_digest;
  job.request_id = sent.request_id;
  job.body_sha256 = sent.body_sha256;
  // Another release may compute other bytes.
  job.content_sha256 =
      Sha256Hex(absl::StrCat(backend_.version, "\n", job.spec_json));
  return Enqueue(resolved, job, request.fresh(), reply);
}

absl::Status TrainingServiceImpl::Enqueue(const ResolvedSpec& resolved,
                                          const jobs::NewJob& job, bool fresh,
                                          v1::TrainingJob* reply) const {
  const worker::TrainingSpec& spec = resolved.spec;
  std::optional<jobs::Job> same;
  jobs::Job created;
  const absl::Status written =
      backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
        if (!spec.dataset.empty()) {
          RETURN_IF_ERROR(CheckDatasetUnchanged(
              backend_, tx, job.tenant, spec.dataset, spec.dataset_digest));
        }
        if (!fresh) {
          ASSIGN_OR_RETURN(same, backend_.jobs->FindSame(tx, job.tenant,
                                                         job.content_sha256));
          if (same) return absl::OkStatus();
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
  FailpointStep("job.created");
  reply->set_deduplicated(same.has_value());
  return ToProto(same ? *same : created, reply);
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
        reply->set_waiting_for(WaitingFor(backend_, job));
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
          v1::TrainingJob* item = reply->add_jobs();
          RETURN_IF_ERROR(ToProto(job, item));
          item->set_waiting_for(WaitingFor(backend_, job));
          if (item->has_result()) item->mutable_result()->clear_confusion();
        }
        reply->set_next_page_token(
            SealPageToken("ListTrainingJobs", jobs.next_page_token));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* TrainingServiceImpl::ListCheckpoints(
    grpc::CallbackServerContext* context,
    const v1::ListCheckpointsRequest* request,
    v1::ListCheckpointsResponse* reply) {
  return rpc_.Unary(
      context, "ListCheckpoints",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const std::vector<jobs::Checkpoint> checkpoints,
            backend_.jobs->Checkpoints(call.principal().tenant, request->id()));
        for (const jobs::Checkpoint& checkpoint : checkpoints) {
          ToProto(checkpoint, reply->add_checkpoints());
        }
        return absl::OkStatus();
      });
}

grpc::ServerWriteReactor<v1::JobEvent>* TrainingServiceImpl::WatchTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::WatchTrainingJobRequest* request) {
  return WatchStream::Start(rpc_.Begin(context, "WatchTrainingJob"), watches_,
                            backend_.jobs, request->id(),
                            request->from_sequence());
}

grpc::ServerReadReactor<v1::UploadContextRequest>*
TrainingServiceImpl::UploadContext(grpc::CallbackServerContext* context,
                                   v1::UploadContextResponse* reply) {
  return ContextUpload::Start(rpc_.Begin(context, "UploadContext"), &rpc_,
                              &backend_, &uploads_, reply);
}

}  // namespace promptd::server

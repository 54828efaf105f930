// TrainingService's calls that change a job: cancel, pause, resume, retry.
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/convert_job.h"
#include "server/job_request.h"
#include "server/metrics.h"
#include "server/training_service.h"
#include "store/blob_store.h"
#include "store/database.h"

namespace promptd::server {
namespace {

absl::StatusOr<jobs::Job> Retry(const Backend& backend,
                                const std::string& tenant,
                                const v1::RetryTrainingJobRequest& request) {
  v1::RetryTrainingJobRequest body = request;
  body.clear_request_id();
  ASSIGN_OR_RETURN(JobRequest sent,
                   FindJobRequest(backend, tenant, request.request_id(), body));
  if (sent.earlier) return *std::move(sent.earlier);
  ASSIGN_OR_RETURN(const jobs::Job job,
                   backend.jobs->Get(tenant, request.id()));
  jobs::RetryRequest again;
  again.request_id = sent.request_id;
  again.body_sha256 = sent.body_sha256;
  again.from_start =
      request.from_start() || !backend.blobs->Keep(job.checkpoint_digest);
  jobs::Job created;
  const absl::Status written =
      backend.db->Write([&](store::Transaction& tx) -> absl::Status {
        RETURN_IF_ERROR(
            backend.registry->prompts().GetTask(tx, tenant, job.task).status());
        if (!job.dataset_digest.empty()) {
          RETURN_IF_ERROR(backend.registry->datasets().CheckThere(
              tx, tenant, job.dataset_digest));
        }
        ASSIGN_OR_RETURN(created,
                         backend.jobs->Retry(tx, tenant, job.id, again));
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(written);
  return created;
}

}  // namespace

grpc::ServerUnaryReactor* TrainingServiceImpl::CancelTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::CancelTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "CancelTrainingJob",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          Cancel(call.principal().tenant, *request));
                      return ToProto(job, reply);
                    });
}

absl::StatusOr<jobs::Job> TrainingServiceImpl::Cancel(
    const std::string& tenant,
    const v1::CancelTrainingJobRequest& request) const {
  ASSIGN_OR_RETURN(const jobs::Job before,
                   backend_.jobs->Get(tenant, request.id()));
  ASSIGN_OR_RETURN(jobs::Job after,
                   backend_.jobs->RequestCancel(tenant, request.id(),
                                                request.after_checkpoint()));
  if (!jobs::IsTerminal(before.state) && jobs::IsTerminal(after.state)) {
    backend_.metrics->JobFinished(std::string(jobs::JobStateName(after.state)));
  }
  return after;
}

grpc::ServerUnaryReactor* TrainingServiceImpl::PauseTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::PauseTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "PauseTrainingJob",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          backend_.jobs->RequestPause(call.principal().tenant,
                                                      request->id()));
                      return ToProto(job, reply);
                    });
}

grpc::ServerUnaryReactor* TrainingServiceImpl::ResumeTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::ResumeTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(
      context, "ResumeTrainingJob",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const jobs::Job job,
            backend_.jobs->Resume(call.principal().tenant, request->id()));
        return ToProto(job, reply);
      });
}

grpc::ServerUnaryReactor* TrainingServiceImpl::RetryTrainingJob(
    grpc::CallbackServerContext* context,
    const v1::RetryTrainingJobRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "RetryTrainingJob",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          Retry(backend_, call.principal().tenant, *request));
                      return ToProto(job, reply);
                    });
}

}  // namespace promptd::server

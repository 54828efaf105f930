// PromptService's calls about evaluations.
#include "common/error.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "server/convert_job.h"
#include "server/convert_registry.h"
#include "server/evaluation_resolver.h"
#include "server/job_request.h"
#include "server/paging.h"
#include "server/prompt_service.h"
#include "store/database.h"

namespace promptd::server {
namespace {

absl::StatusOr<jobs::Job> Enqueue(const Backend& backend,
                                  const std::string& tenant,
                                  const v1::CreateEvaluationRequest& request) {
  ASSIGN_OR_RETURN(
      JobRequest sent,
      FindJobRequest(backend, tenant, request.request_id(), request.spec()));
  if (sent.earlier) return *std::move(sent.earlier);
  ASSIGN_OR_RETURN(const worker::EvaluationSpec spec,
                   ResolveEvaluation(backend, tenant, request.spec()));
  jobs::NewJob job;
  ASSIGN_OR_RETURN(job.priority, ToPriority(request.priority()));
  job.kind = jobs::JobKind::kEvaluate;
  job.tenant = tenant;
  job.task = spec.task;
  job.spec_json = worker::EvaluationSpecToJson(spec);
  job.encoder_digest = spec.encoder_digest;
  job.dataset_digest = spec.dataset_digest;
  job.request_id = sent.request_id;
  job.body_sha256 = sent.body_sha256;
  jobs::Job created;
  const absl::Status written =
      backend.db->Write([&](store::Transaction& tx) -> absl::Status {
        RETURN_IF_ERROR(CheckDatasetUnchanged(backend, tx, tenant, spec.dataset,
                                              spec.dataset_digest));
        ASSIGN_OR_RETURN(created, backend.jobs->Create(tx, job));
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(written);
  return created;
}

}  // namespace

grpc::ServerUnaryReactor* PromptServiceImpl::CreateEvaluation(
    grpc::CallbackServerContext* context,
    const v1::CreateEvaluationRequest* request, v1::TrainingJob* reply) {
  return rpc_.Unary(context, "CreateEvaluation",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const jobs::Job job,
                          Enqueue(backend_, call.principal().tenant, *request));
                      return ToProto(job, reply);
                    });
}

grpc::ServerUnaryReactor* PromptServiceImpl::GetEvaluation(
    grpc::CallbackServerContext* context,
    const v1::GetEvaluationRequest* request, v1::StoredEvaluation* reply) {
  return rpc_.Unary(
      context, "GetEvaluation",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const registry::EvaluationRecord evaluation,
            prompts().GetEvaluation(call.principal().tenant, request->id()));
        return ToProto(evaluation, reply);
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::ListEvaluations(
    grpc::CallbackServerContext* context,
    const v1::ListEvaluationsRequest* request,
    v1::ListEvaluationsResponse* reply) {
  return rpc_.Unary(
      context, "ListEvaluations",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListEvaluations", *request));
        ASSIGN_OR_RETURN(
            auto evaluations,
            prompts().ListEvaluations(call.principal().tenant, request->task(),
                                      request->version(), page));
        for (const registry::EvaluationRecord& evaluation : evaluations.items) {
          v1::StoredEvaluation* item = reply->add_evaluations();
          RETURN_IF_ERROR(ToProto(evaluation, item));
          item->mutable_result()->clear_classes();
          item->mutable_result()->clear_confusion();
        }
        reply->set_next_page_token(
            SealPageToken("ListEvaluations", evaluations.next_page_token));
        return absl::OkStatus();
      });
}

}  // namespace promptd::server

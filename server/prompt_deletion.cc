// PromptService's calls that forget versions and tasks. What an alias names
// stays, and what an unfinished job needs.
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "server/prompt_service.h"
#include "store/database.h"
#include "worker/evaluation_spec.h"

namespace promptd::server {
namespace {

// VERSION_IN_USE while an evaluation of the version has not ended.
absl::Status CheckNotEvaluated(const Backend& backend, store::Transaction& tx,
                               const std::string& tenant,
                               const v1::DeleteVersionRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<jobs::Job> unfinished,
                   backend.jobs->Unfinished(tx, tenant, request.task()));
  for (const jobs::Job& job : unfinished) {
    if (job.kind != jobs::JobKind::kEvaluate) continue;
    ASSIGN_OR_RETURN(const worker::EvaluationSpec spec,
                     worker::EvaluationSpecFromJson(job.spec_json));
    if (spec.version != request.version()) continue;
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "VERSION_IN_USE",
        absl::StrCat("version ", request.task(), ":", request.version(),
                     " is being evaluated by job ", job.id,
                     ": wait for it or cancel it"));
  }
  return absl::OkStatus();
}

absl::Status CheckNoJobs(const Backend& backend, store::Transaction& tx,
                         const std::string& tenant, const std::string& task) {
  ASSIGN_OR_RETURN(const std::vector<jobs::Job> unfinished,
                   backend.jobs->Unfinished(tx, tenant, task));
  if (unfinished.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "TASK_IN_USE",
      absl::StrCat("task \"", task, "\" is needed by job ",
                   unfinished.front().id, ": wait for it or cancel it"));
}

}  // namespace

grpc::ServerUnaryReactor* PromptServiceImpl::DeleteVersion(
    grpc::CallbackServerContext* context,
    const v1::DeleteVersionRequest* request,
    v1::DeleteVersionResponse* /*reply*/) {
  return rpc_.Unary(
      context, "DeleteVersion",
      [this, request](const Call& call) -> absl::Status {
        const std::string& tenant = call.principal().tenant;
        return backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
          RETURN_IF_ERROR(CheckNotEvaluated(backend_, tx, tenant, *request));
          return prompts().DeleteVersion(tx, tenant, request->task(),
                                         request->version());
        });
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::DeleteTask(
    grpc::CallbackServerContext* context, const v1::DeleteTaskRequest* request,
    v1::DeleteTaskResponse* /*reply*/) {
  return rpc_.Unary(
      context, "DeleteTask", [this, request](const Call& call) -> absl::Status {
        const std::string& tenant = call.principal().tenant;
        return backend_.db->Write([&](store::Transaction& tx) -> absl::Status {
          RETURN_IF_ERROR(CheckNoJobs(backend_, tx, tenant, request->name()));
          return prompts().DeleteTask(tx, tenant, request->name());
        });
      });
}

}  // namespace promptd::server

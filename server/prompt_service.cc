#include "server/prompt_service.h"

#include "common/error.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "server/convert_registry.h"
#include "server/interpret_call.h"
#include "server/paging.h"
#include "server/version_selector.h"
#include "store/blob_store.h"
#include "worker/training_spec.h"

namespace promptd::server {

PromptServiceImpl::PromptServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.PromptService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* PromptServiceImpl::ListTasks(
    grpc::CallbackServerContext* context, const v1::ListTasksRequest* request,
    v1::ListTasksResponse* reply) {
  return rpc_.Unary(context, "ListTasks",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(const store::PageRequest page,
                                       ToPageRequest("ListTasks", *request));
                      ASSIGN_OR_RETURN(
                          auto tasks,
                          prompts().ListTasks(call.principal().tenant, page));
                      for (const auto& task : tasks.items)
                        ToProto(task, reply->add_tasks());
                      reply->set_next_page_token(
                          SealPageToken("ListTasks", tasks.next_page_token));
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* PromptServiceImpl::GetTask(
    grpc::CallbackServerContext* context, const v1::GetTaskRequest* request,
    v1::Task* reply) {
  return rpc_.Unary(
      context, "GetTask",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const registry::Task task,
            prompts().GetTask(call.principal().tenant, request->name()));
        ToProto(task, reply);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::ExportVersion(
    grpc::CallbackServerContext* context,
    const v1::ExportVersionRequest* request, v1::ExportVersionResponse* reply) {
  return rpc_.Unary(
      context, "ExportVersion",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const registry::PromptVersion version,
            prompts().GetVersion(call.principal().tenant, request->task(),
                                 request->version()));
        if (!version.context_digest.empty()) {
          ASSIGN_OR_RETURN(*reply->mutable_context(),
                           backend_.blobs->Get(version.context_digest));
        }
        ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                         worker::TrainingSpecFromJson(version.spec_json));
        if (!LearnsContext(spec.method)) {
          ASSIGN_OR_RETURN(*reply->mutable_head(),
                           backend_.blobs->Get(version.features_digest));
        }
        ASSIGN_OR_RETURN(*reply->mutable_manifest_json(),
                         prompts().ManifestJson(version));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::InterpretVersion(
    grpc::CallbackServerContext* context,
    const v1::InterpretVersionRequest* request,
    v1::InterpretVersionResponse* reply) {
  return rpc_.UnaryAsync(
      context, "InterpretVersion", InterpretDeadline(backend_.limits),
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        server::InterpretVersion(backend_, call, *request, reply, done);
      });
}

}  // namespace promptd::server

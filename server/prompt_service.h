// promptd.v1.PromptService: tasks, versions with evaluations, aliases.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "registry/registry.h"
#include "server/backend.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class PromptServiceImpl : public v1::PromptService::CallbackService {
 public:
  explicit PromptServiceImpl(const Backend* backend);

  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* reply) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const v1::GetTaskRequest* request,
                                    v1::Task* reply) override;
  grpc::ServerUnaryReactor* ListVersions(
      grpc::CallbackServerContext* context,
      const v1::ListVersionsRequest* request,
      v1::ListVersionsResponse* reply) override;
  grpc::ServerUnaryReactor* GetVersion(grpc::CallbackServerContext* context,
                                       const v1::GetVersionRequest* request,
                                       v1::PromptVersion* reply) override;
  grpc::ServerUnaryReactor* ExportVersion(
      grpc::CallbackServerContext* context,
      const v1::ExportVersionRequest* request,
      v1::ExportVersionResponse* reply) override;
  grpc::ServerUnaryReactor* ListAliases(
      grpc::CallbackServerContext* context,
      const v1::ListAliasesRequest* request,
      v1::ListAliasesResponse* reply) override;
  grpc::ServerUnaryReactor* SetAlias(grpc::CallbackServerContext* context,
                                     const v1::SetAliasRequest* request,
                                     v1::Alias* reply) override;
  grpc::ServerUnaryReactor* DeleteTask(grpc::CallbackServerContext* context,
                                       const v1::DeleteTaskRequest* request,
                                       v1::DeleteTaskResponse* reply) override;
  grpc::ServerUnaryReactor* DeleteVersion(
      grpc::CallbackServerContext* context,
      const v1::DeleteVersionRequest* request,
      v1::DeleteVersionResponse* reply) override;
  grpc::ServerUnaryReactor* ChangeVersionTags(
      grpc::CallbackServerContext* context,
      const v1::ChangeVersionTagsRequest* request,
      v1::ChangeVersionTagsResponse* reply) override;
  grpc::ServerUnaryReactor* GetLineage(grpc::CallbackServerContext* context,
                                       const v1::GetLineageRequest* request,
                                       v1::GetLineageResponse* reply) override;
  grpc::ServerUnaryReactor* ListDerivedVersions(
      grpc::CallbackServerContext* context,
      const v1::ListDerivedVersionsRequest* request,
      v1::ListDerivedVersionsResponse* reply) override;
  grpc::ServerUnaryReactor* GetAlias(grpc::CallbackServerContext* context,
                                     const v1::GetAliasRequest* request,
                                     v1::Alias* reply) override;
  grpc::ServerUnaryReactor* RollbackAlias(
      grpc::CallbackServerContext* context,
      const v1::RollbackAliasRequest* request, v1::Alias* reply) override;
  grpc::ServerUnaryReactor* DeleteAlias(
      grpc::CallbackServerContext* context,
      const v1::DeleteAliasRequest* request,
      v1::DeleteAliasResponse* reply) override;
  grpc::ServerUnaryReactor* ListAliasHistory(
      grpc::CallbackServerContext* context,
      const v1::ListAliasHistoryRequest* request,
      v1::ListAliasHistoryResponse* reply) override;
  grpc::ServerUnaryReactor* CreateEvaluation(
      grpc::CallbackServerContext* context,
      const v1::CreateEvaluationRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* GetEvaluation(
      grpc::CallbackServerContext* context,
      const v1::GetEvaluationRequest* request,
      v1::StoredEvaluation* reply) override;
  grpc::ServerUnaryReactor* ListEvaluations(
      grpc::CallbackServerContext* context,
      const v1::ListEvaluationsRequest* request,
      v1::ListEvaluationsResponse* reply) override;
  grpc::ServerUnaryReactor* InterpretVersion(
      grpc::CallbackServerContext* context,
      const v1::InterpretVersionRequest* request,
      v1::InterpretVersionResponse* reply) override;

 private:
  registry::PromptRegistry& prompts() const {
    return backend_.registry->prompts();
  }

  const Backend& backend_;
  Rpc rpc_;
};

}  // namespace promptd::server

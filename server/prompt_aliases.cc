// PromptService's calls about aliases.
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "datasets/name_rules.h"
#include "registry/registry.h"
#include "server/convert_registry.h"
#include "server/convert_time.h"
#include "server/paging.h"
#include "server/prompt_service.h"
#include "store/blob_store.h"

namespace promptd::server {
namespace {

constexpr size_t kMaxReasonBytes = 1024;

// `Request` has what a move expects, and its reason.
template <typename Request>
absl::StatusOr<registry::AliasChange> ToChange(const Call& call,
                                               const Request& request) {
  if (request.reason().size() > kMaxReasonBytes ||
      !datasets::IsPlainText(request.reason())) {
    return InvalidFields("INVALID_REASON",
                         {{"reason", absl::StrCat("must be plain UTF-8 text of "
                                                  "at most ",
                                                  kMaxReasonBytes, " bytes")}});
  }
  registry::AliasChange change;
  if (request.has_expected_version()) {
    change.expected_version = request.expected_version();
  }
  if (request.has_expected_revision()) {
    change.expected_revision = request.expected_revision();
  }
  // Callers have no names of their own yet.
  change.actor = call.principal().tenant;
  change.reason = request.reason();
  return change;
}

// Everything that serving reads of a version is there and undamaged: before an
// alias points at it, so that until then the version before serves. DATA_LOSS
// (BLOB_CORRUPT), NOT_FOUND (BLOB_NOT_FOUND) name the blob and the version.
absl::Status CheckWhole(const Backend& backend,
                        const registry::PromptVersion& version) {
  for (const std::string& digest :
       {version.digest, version.context_digest, version.features_digest}) {
    if (digest.empty()) continue;
    const absl::Status status = backend.blobs->Get(digest).status();
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("the alias was not moved: version ",
                                           version.task, ":", version.version));
    }
  }
  return absl::OkStatus();
}

// To a version whose blobs are whole.
absl::StatusOr<registry::Alias> MoveTo(const Backend& backend,
                                       const std::string& tenant,
                                       const v1::SetAliasRequest& request,
                                       const registry::AliasChange& change) {
  registry::PromptRegistry& prompts = backend.registry->prompts();
  const auto version =
      prompts.GetVersion(tenant, request.task(), request.version());
  // SetAlias says in its order what is wrong.
  if (version.ok()) RETURN_IF_ERROR(CheckWhole(backend, *version));
  return prompts.SetAlias(tenant, request.task(), request.name(),
                          request.version(), change);
}

// The same back to where a rollback leads, unless it was moved meanwhile.
absl::StatusOr<registry::Alias> MoveBack(
    const Backend& backend, const std::string& tenant,
    const v1::RollbackAliasRequest& request, registry::AliasChange change) {
  registry::PromptRegistry& prompts = backend.registry->prompts();
  const auto plan =
      prompts.PlanRollback(tenant, request.task(), request.name());
  if (plan.ok()) {
    ASSIGN_OR_RETURN(const registry::PromptVersion version,
                     prompts.GetVersion(tenant, request.task(), plan->version));
    RETURN_IF_ERROR(CheckWhole(backend, version));
    if (!change.expected_revision) change.expected_revision = plan->revision;
  }
  return prompts.RollbackAlias(tenant, request.task(), request.name(), change);
}

}  // namespace

grpc::ServerUnaryReactor* PromptServiceImpl::ListAliases(
    grpc::CallbackServerContext* context, const v1::ListAliasesRequest* request,
    v1::ListAliasesResponse* reply) {
  return rpc_.Unary(
      context, "ListAliases",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(
            const std::vector<registry::Alias> aliases,
            prompts().ListAliases(call.principal().tenant, request->task()));
        for (const auto& alias : aliases) ToProto(alias, reply->add_aliases());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::GetAlias(
    grpc::CallbackServerContext* context, const v1::GetAliasRequest* request,
    v1::Alias* reply) {
  return rpc_.Unary(
      context, "GetAlias",
      [this, request, reply](const Call& call) -> absl::Status {
        std::optional<absl::Time> at;
        if (request->has_at_time()) {
          ASSIGN_OR_RETURN(at, FromProto(request->at_time(), "at_time"));
        }
        ASSIGN_OR_RETURN(
            const registry::Alias alias,
            prompts().GetAlias(call.principal().tenant, request->task(),
                               request->name(), at));
        ToProto(alias, reply);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::SetAlias(
    grpc::CallbackServerContext* context, const v1::SetAliasRequest* request,
    v1::Alias* reply) {
  return rpc_.Unary(context, "SetAlias",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(const registry::AliasChange change,
                                       ToChange(call, *request));
                      ASSIGN_OR_RETURN(const registry::Alias alias,
                                       MoveTo(backend_, call.principal().tenant,
                                              *request, change));
                      FailpointStep("alias.moved");
                      ToProto(alias, reply);
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* PromptServiceImpl::RollbackAlias(
    grpc::CallbackServerContext* context,
    const v1::RollbackAliasRequest* request, v1::Alias* reply) {
  return rpc_.Unary(
      context, "RollbackAlias",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const registry::AliasChange change,
                         ToChange(call, *request));
        ASSIGN_OR_RETURN(
            const registry::Alias alias,
            MoveBack(backend_, call.principal().tenant, *request, change));
        FailpointStep("alias.moved");
        ToProto(alias, reply);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::DeleteAlias(
    grpc::CallbackServerContext* context, const v1::DeleteAliasRequest* request,
    v1::DeleteAliasResponse* /*reply*/) {
  return rpc_.Unary(context, "DeleteAlias",
                    [this, request](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(const registry::AliasChange change,
                                       ToChange(call, *request));
                      return prompts().DeleteAlias(call.principal().tenant,
                                                   request->task(),
                                                   request->name(), change);
                    });
}

grpc::ServerUnaryReactor* PromptServiceImpl::ListAliasHistory(
    grpc::CallbackServerContext* context,
    const v1::ListAliasHistoryRequest* request,
    v1::ListAliasHistoryResponse* reply) {
  return rpc_.Unary(
      context, "ListAliasHistory",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListAliasHistory", *request));
        ASSIGN_OR_RETURN(
            const auto moves,
            prompts().AliasHistory(call.principal().tenant, request->task(),
                                   request->name(), page));
        for (const registry::AliasMove& move : moves.items) {
          ToProto(move, reply->add_moves());
        }
        reply->set_next_page_token(
            SealPageToken("ListAliasHistory", moves.next_page_token));
        return absl::OkStatus();
      });
}

}  // namespace promptd::server

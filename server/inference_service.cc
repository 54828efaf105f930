#include "server/inference_service.h"

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/registry.h"
#include "server/infer_model.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

// The protocol's list has no pages; what is behind is reached by its name.
constexpr int kMostListed = 10'000;
constexpr int kPageSize = 1000;

}  // namespace

InferenceServiceImpl::InferenceServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("inference.GRPCInferenceService", backend->metrics, backend->pool),
      state_{.regions = SharedRegions(
                 static_cast<size_t>(backend->limits.max_shared_regions),
                 backend->limits.max_shared_copies)},
      streams_("inference",
               static_cast<size_t>(backend->limits.max_infer_streams)) {}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerLive(
    grpc::CallbackServerContext* context,
    const inference::ServerLiveRequest* /*request*/,
    inference::ServerLiveResponse* reply) {
  return rpc_.Unary(context, "ServerLive", [reply](const Call&) {
    reply->set_live(true);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerReady(
    grpc::CallbackServerContext* context,
    const inference::ServerReadyRequest* /*request*/,
    inference::ServerReadyResponse* reply) {
  return rpc_.Unary(context, "ServerReady", [this, reply](const Call&) {
    reply->set_ready(backend_.executor->Ready());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelReady(
    grpc::CallbackServerContext* context,
    const inference::ModelReadyRequest* request,
    inference::ModelReadyResponse* reply) {
  return rpc_.Unary(
      context, "ModelReady", [this, request, reply](const Call& call) {
        const auto model = FindModel(backend_, call.principal().tenant,
                                     request->name(), request->version());
        reply->set_ready(model.ok() && backend_.executor->Ready());
        // Not there, or not with this encoder: no error but "not ready".
        if (model.ok() || absl::IsNotFound(model.status()) ||
            absl::IsFailedPrecondition(model.status())) {
          return absl::OkStatus();
        }
        return model.status();
      });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerMetadata(
    grpc::CallbackServerContext* context,
    const inference::ServerMetadataRequest* /*request*/,
    inference::ServerMetadataResponse* reply) {
  return rpc_.Unary(context, "ServerMetadata", [this, reply](const Call&) {
    reply->set_name("promptd");
    reply->set_version(backend_.version);
    for (const char* extension :
         {"classification", "model_configuration", "model_repository",
          "schedule_policy", "statistics", "system_shared_memory"}) {
      reply->add_extensions(extension);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelMetadata(
    grpc::CallbackServerContext* context,
    const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* reply) {
  return rpc_.Unary(context, "ModelMetadata",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const InferModel model,
                          FindModel(backend_, call.principal().tenant,
                                    request->name(), request->version()));
                      ToProto(model, reply);
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelInfer(
    grpc::CallbackServerContext* context,
    const inference::ModelInferRequest* request,
    inference::ModelInferResponse* reply) {
  const DeadlineRule rule{backend_.limits.classify_deadline,
                          backend_.limits.max_classify_deadline};
  return rpc_.UnaryAsync(
      context, "ModelInfer", rule,
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        Infer(backend_, &state_, call, *request, reply, done);
      },
      [this, request](const Call& call) {
        return WhereToInfer(backend_, call, *request);
      });
}

grpc::ServerBidiReactor<inference::ModelInferRequest,
                        inference::ModelStreamInferResponse>*
InferenceServiceImpl::ModelStreamInfer(grpc::CallbackServerContext* context) {
  const auto& metadata = context->client_metadata();
  const auto asked = metadata.find("triton_grpc_error");
  const bool end_on_error = asked != metadata.end() && asked->second == "true";
  auto* stream = new InferStream(rpc_.Begin(context, "ModelStreamInfer"), &rpc_,
                                 &backend_, &state_, &streams_, end_on_error);
  stream->Start();
  return stream;
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelConfig(
    grpc::CallbackServerContext* context,
    const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* reply) {
  return rpc_.Unary(context, "ModelConfig",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const InferModel model,
                          FindModel(backend_, call.principal().tenant,
                                    request->name(), request->version()));
                      ToProto(model, reply->mutable_config());
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelStatistics(
    grpc::CallbackServerContext* context,
    const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* reply) {
  return rpc_.Unary(
      context, "ModelStatistics",
      [this, request, reply](const Call& call) -> absl::Status {
        if (!request->name().empty()) {
          RETURN_IF_ERROR(FindModel(backend_, call.principal().tenant,
                                    request->name(), request->version())
                              .status());
        }
        state_.statistics.Append(request->name(), request->version(), reply);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::RepositoryIndex(
    grpc::CallbackServerContext* context,
    const inference::RepositoryIndexRequest* /*request*/,
    inference::RepositoryIndexResponse* reply) {
  return rpc_.Unary(
      context, "RepositoryIndex",
      [this, reply](const Call& call) { return ListModels(call, reply); });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::SystemSharedMemoryRegister(
    grpc::CallbackServerContext* context,
    const inference::SystemSharedMemoryRegisterRequest* request,
    inference::SystemSharedMemoryRegisterResponse* /*reply*/) {
  return rpc_.Unary(
      context, "SystemSharedMemoryRegister",
      [this, request](const Call& call) -> absl::Status {
        if (!call.from_this_machine()) {
          return MakeError(absl::StatusCode::kPermissionDenied,
                           "NOT_ON_THIS_MACHINE",
                           "shared memory is for clients on promptd's machine "
                           "that connect by its loopback address: send the "
                           "tensors' contents");
        }
        return state_.regions.Register(call.principal().tenant, request->name(),
                                       request->key(), request->offset(),
                                       request->byte_size());
      });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::SystemSharedMemoryUnregister(
    grpc::CallbackServerContext* context,
    const inference::SystemSharedMemoryUnregisterRequest* request,
    inference::SystemSharedMemoryUnregisterResponse* /*reply*/) {
  return rpc_.Unary(context, "SystemSharedMemoryUnregister",
                    [this, request](const Call& call) {
                      state_.regions.Unregister(call.principal().tenant,
                                                request->name());
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::SystemSharedMemoryStatus(
    grpc::CallbackServerContext* context,
    const inference::SystemSharedMemoryStatusRequest* request,
    inference::SystemSharedMemoryStatusResponse* reply) {
  return rpc_.Unary(
      context, "SystemSharedMemoryStatus",
      [this, request, reply](const Call& call) -> absl::Status {
        std::map<std::string, SharedRegions::Region> regions;
        if (request->name().empty()) {
          regions = state_.regions.OfTenant(call.principal().tenant);
        } else {
          ASSIGN_OR_RETURN(
              regions[request->name()],
              state_.regions.Find(call.principal().tenant, request->name()));
        }
        for (const auto& [name, region] : regions) {
          auto& status = (*reply->mutable_regions())[name];
          status.set_name(name);
          status.set_key(region->key());
          status.set_offset(region->offset());
          status.set_byte_size(region->bytes());
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::CudaSharedMemoryUnregister(
    grpc::CallbackServerContext* context,
    const inference::CudaSharedMemoryUnregisterRequest* /*request*/,
    inference::CudaSharedMemoryUnregisterResponse* /*reply*/) {
  return rpc_.Unary(context, "CudaSharedMemoryUnregister",
                    [](const Call&) { return absl::OkStatus(); });
}

// Every model is ready: what it needs is loaded when it is first asked.
absl::Status InferenceServiceImpl::ListModels(
    const Call& call, inference::RepositoryIndexResponse* reply) const {
  const auto add = [reply](const std::string& name,
                           const std::string& version) {
    auto* model = reply->add_models();
    model->set_name(name);
    model->set_version(version);
    model->set_state("READY");
  };
  for (const std::string& name : FixedModels()) add(name, "1");
  registry::PromptRegistry& prompts = backend_.registry->prompts();
  store::PageRequest tasks{kPageSize, ""};
  do {
    ASSIGN_OR_RETURN(const auto page,
                     prompts.ListTasks(call.principal().tenant, tasks));
    for (const registry::Task& task : page.items) {
      ASSIGN_OR_RETURN(const auto newest,
                       prompts.ListVersions(call.principal().tenant, task.name,
                                            {kPageSize, ""}));
      for (const registry::PromptVersion& version : newest.items) {
        if (reply->models_size() >= kMostListed) return absl::OkStatus();
        add(task.name, absl::StrCat(version.version));
      }
    }
    tasks.page_token = page.next_page_token;
  } while (!tasks.page_token.empty());
  return absl::OkStatus();
}

}  // namespace promptd::server

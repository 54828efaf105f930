#include "server/dataset_service.h"

#include <memory>

#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "registry/registry.h"
#include "server/convert_registry.h"
#include "server/paging.h"
#include "server/push_stream.h"
#include "server/upload_stream.h"

namespace promptd::server {
namespace {

constexpr size_t kRememberedCommits = 256;

}  // namespace

DatasetServiceImpl::DatasetServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.DatasetService", backend->metrics, backend->pool),
      manifest_bytes_(backend->limits.max_manifest_bytes),
      uploads_(backend->limits.max_uploads) {}

grpc::ServerBidiReactor<v1::PushDatasetRequest, v1::PushDatasetResponse>*
DatasetServiceImpl::PushDataset(grpc::CallbackServerContext* context) {
  return PushStream::Start(rpc_.Begin(context, "PushDataset"), &rpc_, &backend_,
                           &manifest_bytes_);
}

grpc::ServerReadReactor<v1::UploadImagesRequest>*
DatasetServiceImpl::UploadImages(grpc::CallbackServerContext* context,
                                 v1::UploadImagesResponse* reply) {
  return UploadStream::Start(rpc_.Begin(context, "UploadImages"), &rpc_,
                             &backend_, &uploads_, reply);
}

grpc::ServerUnaryReactor* DatasetServiceImpl::CommitDataset(
    grpc::CallbackServerContext* context,
    const v1::CommitDatasetRequest* request, v1::Dataset* reply) {
  return rpc_.Unary(context, "CommitDataset",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const registry::Dataset dataset,
                          Commit(call.principal().tenant, request->push_id()));
                      ToProto(dataset, reply);
                      return absl::OkStatus();
                    });
}

absl::StatusOr<registry::Dataset> DatasetServiceImpl::Commit(
    const std::string& tenant, const std::string& push_id) {
  registry::DatasetCatalog& datasets = backend_.registry->datasets();
  const std::string earlier = CommittedName(tenant, push_id);
  if (!earlier.empty()) return datasets.Get(tenant, earlier);
  registry::PushSessions& pushes = backend_.registry->pushes();
  ASSIGN_OR_RETURN(const std::shared_ptr<const registry::DatasetDraft> draft,
                   pushes.Get(tenant, push_id));
  ASSIGN_OR_RETURN(registry::Dataset dataset, datasets.Commit(tenant, *draft));
  FailpointStep("dataset.committed");
  {
    absl::MutexLock lock(&mutex_);
    committed_.push_back({tenant, push_id, dataset.name});
    if (committed_.size() > kRememberedCommits) committed_.pop_front();
  }
  pushes.End(tenant, push_id);
  return dataset;
}

std::string DatasetServiceImpl::CommittedName(const std::string& tenant,
                                              const std::string& push_id) {
  absl::MutexLock lock(&mutex_);
  for (const Committed& committed : committed_) {
    if (committed.push_id == push_id && committed.tenant == tenant) {
      return committed.name;
    }
  }
  return "";
}

grpc::ServerUnaryReactor* DatasetServiceImpl::GetDataset(
    grpc::CallbackServerContext* context, const v1::GetDatasetRequest* request,
    v1::Dataset* reply) {
  return rpc_.Unary(context, "GetDataset",
                    [this, request, reply](const Call& call) -> absl::Status {
                      ASSIGN_OR_RETURN(
                          const registry::Dataset dataset,
                          backend_.registry->datasets().Get(
                              call.principal().tenant, request->name()));
                      ToProto(dataset, reply);
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* DatasetServiceImpl::ListDatasets(
    grpc::CallbackServerContext* context,
    const v1::ListDatasetsRequest* request, v1::ListDatasetsResponse* reply) {
  return rpc_.Unary(
      context, "ListDatasets",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListDatasets", *request));
        ASSIGN_OR_RETURN(auto datasets, backend_.registry->datasets().List(
                                            call.principal().tenant, page));
        for (const registry::Dataset& dataset : datasets.items) {
          ToProto(dataset, reply->add_datasets());
        }
        reply->set_next_page_token(
            SealPageToken("ListDatasets", datasets.next_page_token));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* DatasetServiceImpl::DeleteDataset(
    grpc::CallbackServerContext* context,
    const v1::DeleteDatasetRequest* request,
    v1::DeleteDatasetResponse* /*reply*/) {
  return rpc_.Unary(context, "DeleteDataset",
                    [this, request](const Call& call) {
                      return backend_.registry->datasets().Delete(
                          call.principal().tenant, request->name());
                    });
}

}  // namespace promptd::server

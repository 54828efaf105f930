// promptd.v1.DatasetService: push, upload, commit; get, list, delete.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "registry/records.h"
#include "server/backend.h"
#include "server/byte_budget.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class DatasetServiceImpl : public v1::DatasetService::CallbackService {
 public:
  explicit DatasetServiceImpl(const Backend* backend);

  grpc::ServerBidiReactor<v1::PushDatasetRequest, v1::PushDatasetResponse>*
  PushDataset(grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<v1::UploadImagesRequest>* UploadImages(
      grpc::CallbackServerContext* context,
      v1::UploadImagesResponse* reply) override;
  grpc::ServerUnaryReactor* CommitDataset(
      grpc::CallbackServerContext* context,
      const v1::CommitDatasetRequest* request, v1::Dataset* reply) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* context,
                                       const v1::GetDatasetRequest* request,
                                       v1::Dataset* reply) override;
  grpc::ServerUnaryReactor* ListDatasets(
      grpc::CallbackServerContext* context,
      const v1::ListDatasetsRequest* request,
      v1::ListDatasetsResponse* reply) override;
  grpc::ServerUnaryReactor* DeleteDataset(
      grpc::CallbackServerContext* context,
      const v1::DeleteDatasetRequest* request,
      v1::DeleteDatasetResponse* reply) override;

 private:
  struct Committed {
    std::string tenant;
    std::string push_id;
    std::string name;
  };
  absl::StatusOr<registry::Dataset> Commit(const std::string& tenant,
                                           const std::string& push_id);
  // The dataset that this push made a moment ago; empty if it made none.
  std::string CommittedName(const std::string& tenant,
                            const std::string& push_id);

  const Backend& backend_;
  Rpc rpc_;
  ByteBudget manifest_bytes_;
  ByteBudget uploads_;
  absl::Mutex mutex_;
  // The latest pushes that were committed: a client that lost the reply may
  // ask again.
  std::deque<Committed> committed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server

// promptd.v1.StorageService: garbage collection.
#pragma once

#include "absl/status/status.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "server/backend.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class StorageServiceImpl : public v1::StorageService::CallbackService {
 public:
  explicit StorageServiceImpl(const Backend* backend);

  grpc::ServerUnaryReactor* CollectGarbage(
      grpc::CallbackServerContext* context,
      const v1::CollectGarbageRequest* request,
      v1::CollectGarbageResponse* reply) override;

 private:
  absl::Status Collect(const v1::CollectGarbageRequest& request,
                       v1::CollectGarbageResponse* reply);

  const Backend& backend_;
  Rpc rpc_;
};

}  // namespace promptd::server

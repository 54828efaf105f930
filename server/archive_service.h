// promptd.v1.ArchiveService: versions as files.
#pragma once

#include "promptd/v1/archive.grpc.pb.h"
#include "server/backend.h"
#include "server/byte_budget.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class ArchiveServiceImpl : public v1::ArchiveService::CallbackService {
 public:
  explicit ArchiveServiceImpl(const Backend* backend);

  grpc::ServerWriteReactor<v1::ExportArchiveResponse>* ExportArchive(
      grpc::CallbackServerContext* context,
      const v1::ExportArchiveRequest* request) override;
  grpc::ServerReadReactor<v1::ImportArchiveRequest>* ImportArchive(
      grpc::CallbackServerContext* context,
      v1::ImportArchiveResponse* reply) override;

 private:
  const Backend& backend_;
  Rpc rpc_;
  ByteBudget imports_;  // archives coming in
  ByteBudget exports_;  // archives going out
};

}  // namespace promptd::server

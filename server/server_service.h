// promptd.v1.ServerService: what this server is and what it accepts.
#pragma once

#include "promptd/v1/server.grpc.pb.h"
#include "server/backend.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class ServerServiceImpl : public v1::ServerService::CallbackService {
 public:
  explicit ServerServiceImpl(const Backend* backend);

  grpc::ServerUnaryReactor* GetServerInfo(
      grpc::CallbackServerContext* context,
      const v1::GetServerInfoRequest* request,
      v1::GetServerInfoResponse* reply) override;

 private:
  absl::Status Fill(v1::GetServerInfoResponse* reply) const;

  const Backend& backend_;
  Rpc rpc_;
};

}  // namespace promptd::server

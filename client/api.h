// The connection to one promptd: a channel, its stubs, and one way to make a
// call.
//
//   Api api("127.0.0.1:7080", absl::Seconds(30));
//   ASSIGN_OR_RETURN(const auto task,
//                    api.Call(api.prompts(), &PromptStub::GetTask, request));
//
// Nothing is sent before the first call. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/rpc_status.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "promptd/v1/archive.grpc.pb.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::client {

using ArchiveStub = v1::ArchiveService::Stub;
using ClassifyStub = v1::ClassifyService::Stub;
using DatasetStub = v1::DatasetService::Stub;
using EncoderStub = v1::EncoderService::Stub;
using PromptStub = v1::PromptService::Stub;
using ServerStub = v1::ServerService::Stub;
using StorageStub = v1::StorageService::Stub;
using TrainingStub = v1::TrainingService::Stub;

class Api {
 public:
  // `timeout` bounds every single call; streams are bounded by it only when
  // `timeout_is_explicit` (the user asked for it). An empty `tenant` is the
  // server's default one.
  Api(const std::string& server, absl::Duration timeout,
      bool timeout_is_explicit = false, std::string tenant = "");

  ServerStub& server() { return *server_; }
  EncoderStub& encoders() { return *encoders_; }
  DatasetStub& datasets() { return *datasets_; }
  TrainingStub& training() { return *training_; }
  PromptStub& prompts() { return *prompts_; }
  ClassifyStub& classify() { return *classify_; }
  StorageStub& storage() { return *storage_; }
  ArchiveStub& archives() { return *archives_; }
  const std::string& address() const { return address_; }

  // One unary call with the deadline; errors through FromGrpcStatus.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) const {
    const std::unique_ptr<grpc::ClientContext> context = UnaryContext();
    Response response;
    const grpc::Status status =
        (stub.*method)(context.get(), request, &response);
    if (!status.ok()) return Error(status);
    return response;
  }

  std::unique_ptr<grpc::ClientContext> UnaryContext() const;
  std::unique_ptr<grpc::ClientContext> StreamContext() const;
  absl::Status Error(const grpc::Status& status) const {
    return FromGrpcStatus(status, address_);
  }

 private:
  std::unique_ptr<grpc::ClientContext> NewContext() const;

  const std::string address_;
  const absl::Duration timeout_;
  const bool timeout_is_explicit_;
  const std::string tenant_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<ServerStub> server_;
  const std::unique_ptr<EncoderStub> encoders_;
  const std::unique_ptr<DatasetStub> datasets_;
  const std::unique_ptr<TrainingStub> training_;
  const std::unique_ptr<PromptStub> prompts_;
  const std::unique_ptr<ClassifyStub> classify_;
  const std::unique_ptr<StorageStub> storage_;
  const std::unique_ptr<ArchiveStub> archives_;
};

}  // namespace promptd::client

// promptd.v1.TrainingService: create, read, list, change and watch jobs; take
// contexts for them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "promptd/v1/training.grpc.pb.h"
#include "server/backend.h"
#include "server/byte_budget.h"
#include "server/rpc.h"
#include "server/spec_resolver.h"
#include "server/watch_loop.h"

namespace promptd::server {

// Thread-safe; `backend` and `watches` are borrowed.
class TrainingServiceImpl : public v1::TrainingService::CallbackService {
 public:
  TrainingServiceImpl(const Backend* backend, WatchLoop* watches);

  grpc::ServerUnaryReactor* CreateTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::CreateTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* GetTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::GetTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* ListTrainingJobs(
      grpc::CallbackServerContext* context,
      const v1::ListTrainingJobsRequest* request,
      v1::ListTrainingJobsResponse* reply) override;
  grpc::ServerUnaryReactor* CancelTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::CancelTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* PauseTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::PauseTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* ResumeTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::ResumeTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* RetryTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::RetryTrainingJobRequest* request,
      v1::TrainingJob* reply) override;
  grpc::ServerUnaryReactor* ListCheckpoints(
      grpc::CallbackServerContext* context,
      const v1::ListCheckpointsRequest* request,
      v1::ListCheckpointsResponse* reply) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchTrainingJob(
      grpc::CallbackServerContext* context,
      const v1::WatchTrainingJobRequest* request) override;
  grpc::ServerReadReactor<v1::UploadContextRequest>* UploadContext(
      grpc::CallbackServerContext* context,
      v1::UploadContextResponse* reply) override;

 private:
  absl::Status Create(const std::string& tenant,
                      const v1::CreateTrainingJobRequest& request,
                      v1::TrainingJob* reply) const;
  // Makes the task and the job in one transaction, unless a finished job did
  // the same and that will do.
  absl::Status Enqueue(const ResolvedSpec& resolved, const jobs::NewJob& job,
                       bool fresh, v1::TrainingJob* reply) const;
  absl::StatusOr<jobs::Job> Cancel(
      const std::string& tenant,
      const v1::CancelTrainingJobRequest& request) const;

  const Backend& backend_;
  WatchLoop* const watches_;
  Rpc rpc_;
  ByteBudget uploads_;  // contexts coming in
};

}  // namespace promptd::server

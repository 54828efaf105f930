// A real server on a free port with a fake executor, and a channel to it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "grpcpp/channel.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"
#include "server/server.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/temp_dir.h"
#include "worker/control.h"

namespace promptd::server {

// A client context with a deadline, so that no test can hang.
struct Context : grpc::ClientContext {
  Context();
};

// What a refused call carries, unpacked.
struct ErrorDetails {
  grpc::StatusCode code = grpc::OK;
  std::string message;
  std::string reason;
  std::string domain;
  std::string request_id;
  std::vector<std::pair<std::string, std::string>> fields;
  bool retry = false;

  // The description of a field's violation; empty when there is none.
  std::string Field(const std::string& name) const;
};
ErrorDetails Decode(const grpc::Status& status);

// A PNG of one colour; another `shade`, another digest.
std::string Png(int shade);

// One class's images of a split.
struct ImageGroup {
  int class_index = 0;
  v1::Split split = v1::SPLIT_TRAIN;
  int count = 0;
};

class ServerFixture : public ::testing::Test {
 protected:
  ServerFixture();
  ~ServerFixture() override;

  // Another server over the same data directory, as after a restart.
  void Restart();
  void StartServer(ServerOptions options);
  // Channels to the server.
  void Connect();
  ServerOptions DefaultOptions() const;

  // The messages of a push, with images Png(0), Png(1), ... in item order.
  std::vector<v1::PushDatasetRequest> PushMessages(
      const std::string& name, const std::vector<std::string>& classes,
      const std::vector<ImageGroup>& groups) const;
  grpc::Status Push(const std::vector<v1::PushDatasetRequest>& messages,
                    std::vector<std::string>* missing,
                    v1::PushDatasetResponse::Result* result);
  grpc::Status Upload(const std::string& push_id,
                      const std::vector<std::string>& images,
                      v1::UploadImagesResponse* reply);
  // All three steps; images Png(0) ... Png(n - 1).
  v1::Dataset PushDataset(const std::string& name,
                          const std::vector<std::string>& classes,
                          const std::vector<ImageGroup>& groups);
  // Two classes, four training and one test image each.
  v1::Dataset PushPets(const std::string& name = "pets");

  // A valid request over the dataset "pets".
  v1::CreateTrainingJobRequest PetsJob() const;
  v1::TrainingJob CreateJob(const v1::CreateTrainingJobRequest& request);
  // Plays the worker: leases the next job and publishes for it.
  worker::LeasedJob Lease();
  int64_t Publish(const worker::LeasedJob& job);
  worker::FinishedPrompt Finished(const worker::LeasedJob& job);
  // Creates a job for "pets" and publishes its version.
  int64_t TrainOnce();

  std::string Metrics();

  testing::TempDir dir_;
  testing::FakeExecutor executor_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ServerService::Stub> info_;
  std::unique_ptr<v1::EncoderService::Stub> encoders_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::TrainingService::Stub> training_;
  std::unique_ptr<v1::PromptService::Stub> prompts_;
  std::unique_ptr<v1::ClassifyService::Stub> classify_;
};

// One HTTP exchange with 127.0.0.1:`port`; the whole reply.
std::string HttpExchange(int port, const std::string& request);

}  // namespace promptd::server

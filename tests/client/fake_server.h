// A promptd for client tests: the real services over a real channel on a free
// port, with simple behaviour in memory. It keeps what it was asked, so that a
// test can look at it. Thread-safe where a field says so.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "grpcpp/server.h"
#include "promptd/v1/archive.grpc.pb.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::testing {

// A gRPC error as promptd sends it: ErrorInfo with the request id "req-1", and
// BadRequest for (field, description) pairs.
grpc::Status RichError(
    grpc::StatusCode code, const std::string& reason,
    const std::string& message,
    const std::vector<std::pair<std::string, std::string>>& fields = {});

// What all services share; every member under `mutex`.
struct FakeState {
  std::mutex mutex;
  v1::Limits limits;
  std::map<std::string, std::string> images;  // digest to bytes
  std::set<std::string> refuse;               // digests that are rejected
  std::map<std::string, v1::Dataset> datasets;
  std::map<std::string, std::vector<v1::DatasetItem>> items;  // by dataset
  std::vector<v1::CreateTrainingJobRequest> created;
  std::vector<v1::TrainingJob> jobs;
  std::vector<v1::JobEvent> events;  // of every job
  // The watch stream breaks once with UNAVAILABLE after this many events.
  std::optional<size_t> break_after;
  std::vector<int64_t> watched_from;
  std::vector<v1::Alias> aliases;
  std::vector<v1::GetAliasRequest> aliases_got;
  std::vector<v1::SetAliasRequest> aliases_set;
  std::vector<v1::RollbackAliasRequest> rolled_back;
  std::vector<v1::DeleteAliasRequest> aliases_deleted;
  std::vector<v1::AliasMove> moves;  // of every alias
  std::vector<v1::ListVersionsRequest> versions_listed;
  std::vector<v1::ChangeVersionTagsRequest> tagged;
  std::vector<v1::ListDerivedVersionsRequest> derived;
  v1::GetLineageResponse lineage;    // of every version
  std::vector<std::string> deleted;  // "pets:2", or "pets", a task
  std::vector<v1::CollectGarbageRequest> collected;
  std::string archive;                // of every version
  std::vector<std::string> imported;  // archives
  std::string imported_task;          // that the last import asked for
  std::vector<v1::RetryTrainingJobRequest> retried;
  std::vector<v1::CancelTrainingJobRequest> cancelled;
  v1::ListCheckpointsResponse checkpoints;  // of every job
  std::string context = "context bytes";
  std::vector<v1::CreateEvaluationRequest> evaluated;
  std::vector<v1::ListEvaluationsRequest> evaluations_listed;
  v1::StoredEvaluation evaluation;  // the only one there is, with id 1
  std::optional<std::string> context_digest;  // of that one, unless set
  v1::TrainingSpec version_spec;              // of every version
  std::set<std::string> no_tasks;             // names that are not found
  std::vector<std::string> uploaded_contexts;
  std::vector<v1::ClassifyRequest> classified;
  std::string known_digest;  // SHA-256 of an image's bytes, hexadecimal
  std::vector<v1::ZeroShotClassifyRequest> zero_shot;
  std::vector<v1::MultiClassifyRequest> multi_classified;
  v1::VerifyEncoderResponse verification;  // passed, unless changed
  std::string task_encoder_digest;         // of every task listed
  std::vector<v1::EmbedImagesRequest> embedded_images;
  std::vector<v1::EmbedTextsRequest> embedded_texts;
  std::vector<v1::InterpretVersionRequest> interpreted;
  v1::InterpretVersionResponse interpretation;
  std::string embed_digest = "0123456789abcdef";
  bool encoder_changes = false;      // after each EmbedTexts
  std::optional<grpc::Status> fail;  // of every unary call but info
};

class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  FakeState& state() { return state_; }
  const std::string& address() const { return address_; }

 private:
  FakeState state_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace promptd::testing

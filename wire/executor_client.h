// A worker on another machine behind worker/executor.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "promptd/worker/v1/executor.grpc.pb.h"
#include "wire/wire_status.h"
#include "wire/worker_token.h"
#include "worker/executor.h"

namespace promptd::wire {

// Contracts: worker/executor.h, whose errors arrive as they were sent, and
// UNAVAILABLE (PEER_UNREACHABLE): the worker has not answered. Answers come on
// threads of gRPC. Encoders() and Ready() are the registry's to know: none and
// false. Thread-safe.
class ExecutorClient : public worker::Executor {
 public:
  // `peer` names the worker in errors.
  ExecutorClient(std::shared_ptr<grpc::Channel> channel, WorkerToken token,
                 std::string peer);
  // Abandon(), without waiting for the answers.
  ~ExecutorClient() override;

  std::vector<worker::EncoderDescription> Encoders() const override {
    return {};
  }
  void Classify(worker::ClassifyCall call, ClassifyCallback done) override;
  void VerifyEncoder(worker::VerifyCall call, VerifyCallback done) override;
  void EmbedTexts(worker::EmbedTextsCall call,
                  EmbedTextsCallback done) override;
  void Interpret(worker::InterpretCall call, InterpretCallback done) override;
  absl::StatusOr<worker::PromptCheck> CheckPrompt(
      const std::string& encoder_digest, int context_tokens,
      const std::string& context_init,
      const std::vector<std::string>& class_names) const override;
  bool Ready() const override { return false; }

  // Calls under way end as PEER_UNREACHABLE: the worker is given up.
  void Abandon();

 private:
  struct Flight;
  // What outlives the client, for answers that come later.
  struct State {
    absl::Mutex mutex;
    bool stopping ABSL_GUARDED_BY(mutex) = false;
    std::map<const Flight*, std::shared_ptr<Flight>> flights
        ABSL_GUARDED_BY(mutex);
  };

  template <typename Request, typename Response, typename Start, typename Done>
  void Send(std::shared_ptr<Request> request, absl::Time deadline,
            std::function<bool()> cancelled, const Start& start, Done done);
  void Sweep();

  const WorkerToken token_;
  const std::string peer_;
  const std::shared_ptr<pb::ExecutorService::Stub> stub_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread sweeper_;
};

}  // namespace promptd::wire

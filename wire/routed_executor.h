// Many workers behind worker/executor.h: each call goes to one of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "wire/route_target.h"
#include "wire/worker_registry.h"
#include "worker/executor.h"

namespace promptd::wire {

// Classify calls go by the SHA-256 of their first image, be it sent or named,
// others to the least loaded, always among the workers that hold the encoder. A
// call that its worker did not answer, because it was lost or is shutting down,
// is sent to another one, to three in all. UNAVAILABLE (NO_WORKER) when no
// worker that holds the encoder serves now. Thread-safe.
class RoutedExecutor : public worker::Executor {
 public:
  // `local`, the worker in this process, may be null; both must outlive this.
  RoutedExecutor(worker::Executor* local, const WorkerRegistry* registry);

  // Also those of workers that are away now.
  std::vector<worker::EncoderDescription> Encoders() const override;
  void Classify(worker::ClassifyCall call, ClassifyCallback done) override;
  void VerifyEncoder(worker::VerifyCall call, VerifyCallback done) override;
  void EmbedTexts(worker::EmbedTextsCall call,
                  EmbedTextsCallback done) override;
  void Interpret(worker::InterpretCall call, InterpretCallback done) override;
  absl::StatusOr<worker::PromptCheck> CheckPrompt(
      const std::string& encoder_digest, int context_tokens,
      const std::string& context_init,
      const std::vector<std::string>& class_names) const override;
  bool Ready() const override;

  // Whether a worker that is there now holds it, serving or not.
  bool Holds(const std::string& encoder_digest) const override;
  bool HeadAtHand(const std::string& features_digest) const override;

 private:
  using Targets = std::vector<std::shared_ptr<RouteTarget>>;
  using Rank = std::function<Targets(Targets)>;

  Targets TargetsFor(const std::string& encoder_digest) const;
  bool LocalHolds(const std::string& encoder_digest) const;

  template <typename Call, typename Done, typename Invoke>
  void Route(std::shared_ptr<Call> call, const Rank& rank, int64_t weight,
             Invoke invoke, Done done);
  template <typename Call, typename Done, typename Invoke>
  void Try(std::shared_ptr<Call> call, const Rank& rank, int64_t weight,
           Invoke invoke, Done done, std::vector<std::string> tried);

  const std::shared_ptr<RouteTarget> local_;  // null: none
  const WorkerRegistry* const registry_;
};

}  // namespace promptd::wire

#include "wire/routed_executor.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"
#include "wire/rendezvous.h"
#include "wire/wire_status.h"

namespace promptd::wire {
namespace {

using worker::EncoderDescription;

std::shared_ptr<RouteTarget> LocalTarget(worker::Executor* local) {
  if (local == nullptr) return nullptr;
  auto target = std::make_shared<RouteTarget>();
  target->id = "local";
  // Borrowed.
  target->executor = std::shared_ptr<worker::Executor>(
      local, [](worker::Executor* /*not ours*/) {});
  return target;
}

absl::Status NoWorker(const std::string& encoder_digest) {
  return MakeError(
      absl::StatusCode::kUnavailable, "NO_WORKER",
      absl::StrCat("no worker that holds the encoder ",
                   encoder_digest.substr(0, 12),
                   " is there now: look with `promptctl status` and try again "
                   "in a moment"));
}

// Workers that one call is sent to at most.
constexpr size_t kMostTries = 3;

// Whether another worker may be asked: this one has not answered.
bool NotAnswered(const absl::Status& status) {
  if (status.ok()) return false;
  const std::string reason = ErrorReason(status);
  return IsUnreachable(status) || reason == "SHUTTING_DOWN" ||
         reason == "NOT_READY";
}

// The same for an image and its digest.
uint64_t KeyOf(const worker::ClassifyCall& call) {
  if (!call.images.empty())
    return RoutingHash(Sha256Bytes(call.images.front()));
  if (!call.image_digests.empty()) {
    return RoutingHash(call.image_digests.front());
  }
  if (call.pixels.empty()) return 0;
  const absl::Span<const float> pixels = call.pixels.front();
  return RoutingHash({reinterpret_cast<const char*>(pixels.data()),
                      pixels.size() * sizeof(float)});
}

}  // namespace

RoutedExecutor::RoutedExecutor(worker::Executor* local,
                               const WorkerRegistry* registry)
    : local_(LocalTarget(local)), registry_(registry) {}

std::vector<EncoderDescription> RoutedExecutor::Encoders() const {
  std::vector<EncoderDescription> encoders;
  if (local_ != nullptr) encoders = local_->executor->Encoders();
  for (const EncoderDescription& known : registry_->KnownEncoders()) {
    const bool there =
        std::any_of(encoders.begin(), encoders.end(),
                    [&](const auto& e) { return e.digest == known.digest; });
    if (!there) encoders.push_back(known);
  }
  std::sort(encoders.begin(), encoders.end(), [](const auto& a, const auto& b) {
    return std::tie(a.name, a.digest) < std::tie(b.name, b.digest);
  });
  return encoders;
}

bool RoutedExecutor::LocalHolds(const std::string& encoder_digest) const {
  if (local_ == nullptr) return false;
  return local_->executor->Holds(encoder_digest);
}

bool RoutedExecutor::Holds(const std::string& encoder_digest) const {
  return LocalHolds(encoder_digest) || registry_->Holds(encoder_digest);
}

RoutedExecutor::Targets RoutedExecutor::TargetsFor(
    const std::string& encoder_digest) const {
  Targets targets = registry_->Targets(encoder_digest);
  if (LocalHolds(encoder_digest)) targets.push_back(local_);
  return targets;
}

template <typename Call, typename Done, typename Invoke>
void RoutedExecutor::Route(std::shared_ptr<Call> call, const Rank& rank,
                           int64_t weight, Invoke invoke, Done done) {
  Try(std::move(call), rank, weight, invoke, std::move(done), {});
}

template <typename Call, typename Done, typename Invoke>
void RoutedExecutor::Try(std::shared_ptr<Call> call, const Rank& rank,
                         int64_t weight, Invoke invoke, Done done,
                         std::vector<std::string> tried) {
  Targets targets = rank(TargetsFor(call->encoder_digest));
  const auto was_tried = [&](const auto& target) {
    return std::find(tried.begin(), tried.end(), target->id) != tried.end();
  };
  targets.erase(std::remove_if(targets.begin(), targets.end(), was_tried),
                targets.end());
  if (targets.empty()) return done(NoWorker(call->encoder_digest));
  const std::shared_ptr<RouteTarget> target = targets.front();
  tried.push_back(target->id);
  target->load += weight;
  // The call is kept for another try; the worker in this process is the last
  // one to be asked, as it does not get lost.
  const bool keep = tried.size() < kMostTries && target != local_;
  Call asked = keep ? *call : std::move(*call);
  invoke(target->executor.get(), std::move(asked),
         [this, call = std::move(call), rank, weight, invoke, done, target,
          keep, tried = std::move(tried)](auto outcome) {
           target->load -= weight;
           if (keep && NotAnswered(outcome.status())) {
             return Try(call, rank, weight, invoke, done, tried);
           }
           done(std::move(outcome));
         });
}

bool RoutedExecutor::HeadAtHand(const std::string& features_digest) const {
  return local_ == nullptr || local_->executor->HeadAtHand(features_digest);
}

void RoutedExecutor::Classify(worker::ClassifyCall call,
                              ClassifyCallback done) {
  const auto shared = std::make_shared<worker::ClassifyCall>(std::move(call));
  // What is only named is not encoded.
  const auto weight = static_cast<int64_t>(worker::ImageCount(*shared) -
                                           shared->image_digests.size());
  Route(
      shared,
      [shared, weight](Targets targets) {
        if (targets.size() <= 1) return targets;
        return RankByHash(std::move(targets), KeyOf(*shared), weight);
      },
      weight,
      [](worker::Executor* executor, worker::ClassifyCall asked, auto then) {
        executor->Classify(std::move(asked), std::move(then));
      },
      std::move(done));
}

void RoutedExecutor::VerifyEncoder(worker::VerifyCall call,
                                   VerifyCallback done) {
  Route(
      std::make_shared<worker::VerifyCall>(std::move(call)), RankByLoad, 1,
      [](worker::Executor* executor, worker::VerifyCall asked, auto then) {
        executor->VerifyEncoder(std::move(asked), std::move(then));
      },
      std::move(done));
}

void RoutedExecutor::EmbedTexts(worker::EmbedTextsCall call,
                                EmbedTextsCallback done) {
  Route(
      std::make_shared<worker::EmbedTextsCall>(std::move(call)), RankByLoad, 1,
      [](worker::Executor* executor, worker::EmbedTextsCall asked, auto then) {
        executor->EmbedTexts(std::move(asked), std::move(then));
      },
      std::move(done));
}

void RoutedExecutor::Interpret(worker::InterpretCall call,
                               InterpretCallback done) {
  Route(
      std::make_shared<worker::InterpretCall>(std::move(call)), RankByLoad, 1,
      [](worker::Executor* executor, worker::InterpretCall asked, auto then) {
        executor->Interpret(std::move(asked), std::move(then));
      },
      std::move(done));
}

absl::StatusOr<worker::PromptCheck> RoutedExecutor::CheckPrompt(
    const std::string& encoder_digest, int context_tokens,
    const std::string& context_init,
    const std::vector<std::string>& class_names) const {
  Targets targets = RankByLoad(TargetsFor(encoder_digest));
  // Counting tokens takes no time: here, if that can be.
  if (LocalHolds(encoder_digest)) targets = {local_};
  absl::StatusOr<worker::PromptCheck> check = NoWorker(encoder_digest);
  for (size_t i = 0; i < std::min<size_t>(targets.size(), 2); ++i) {
    check = targets[i]->executor->CheckPrompt(encoder_digest, context_tokens,
                                              context_init, class_names);
    if (!NotAnswered(check.status())) break;
  }
  return check;
}

bool RoutedExecutor::Ready() const {
  return (local_ != nullptr && local_->executor->Ready()) ||
         registry_->AnyReady();
}

}  // namespace promptd::wire

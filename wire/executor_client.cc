#include "wire/executor_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "wire/channel.h"
#include "wire/convert_call.h"

namespace promptd::wire {
namespace {

// How long a caller that has gone away keeps a worker busy.
constexpr absl::Duration kSweepInterval = absl::Milliseconds(20);
constexpr absl::Duration kCheckPromptTime = absl::Seconds(10);

// Why a call failed that somebody still waits for. It was not cancelled by the
// caller: by us, who gave the worker up, or by a worker that is stopping.
absl::Status WhyAwaited(const grpc::Status& status, const std::string& peer) {
  if (status.error_code() != grpc::StatusCode::CANCELLED) {
    return FromGrpc(status, peer);
  }
  return FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE,
                               "it does not answer any more"),
                  peer);
}

}  // namespace

// One call under way.
struct ExecutorClient::Flight {
  grpc::ClientContext context;
  std::function<bool()> cancelled;
};

ExecutorClient::ExecutorClient(std::shared_ptr<grpc::Channel> channel,
                               WorkerToken token, std::string peer)
    : token_(std::move(token)),
      peer_(std::move(peer)),
      stub_(pb::ExecutorService::NewStub(channel)),
      sweeper_([this] { Sweep(); }) {}

ExecutorClient::~ExecutorClient() {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopping = true;
  }
  sweeper_.join();
  Abandon();
}

void ExecutorClient::Abandon() {
  std::vector<std::shared_ptr<Flight>> flights;
  {
    absl::MutexLock lock(&state_->mutex);
    for (const auto& [key, flight] : state_->flights) flights.push_back(flight);
  }
  for (const auto& flight : flights) {
    flight->context.TryCancel();
  }
}

// gRPC cannot be told of a caller that goes away but by a call: who polls is
// here.
void ExecutorClient::Sweep() {
  while (true) {
    std::vector<std::shared_ptr<Flight>> flights;
    {
      absl::MutexLock lock(&state_->mutex);
      state_->mutex.AwaitWithTimeout(absl::Condition(&state_->stopping),
                                     kSweepInterval);
      if (state_->stopping) return;
      for (const auto& [key, flight] : state_->flights) {
        if (flight->cancelled) flights.push_back(flight);
      }
    }
    for (const auto& flight : flights) {
      if (flight->cancelled()) flight->context.TryCancel();
    }
  }
}

template <typename Request, typename Response, typename Start, typename Done>
void ExecutorClient::Send(std::shared_ptr<Request> request, absl::Time deadline,
                          std::function<bool()> cancelled, const Start& start,
                          Done done) {
  auto flight = std::make_shared<Flight>();
  flight->cancelled = std::move(cancelled);
  Prepare(token_, deadline, &flight->context);
  {
    absl::MutexLock lock(&state_->mutex);
    state_->flights[flight.get()] = flight;
  }
  auto response = std::make_shared<Response>();
  Request* const sent = request.get();
  Response* const received = response.get();
  start(stub_.get(), &flight->context, sent, received,
        [state = state_, stub = stub_, peer = peer_, flight, request, response,
         done = std::move(done)](const grpc::Status& status) {
          {
            absl::MutexLock lock(&state->mutex);
            state->flights.erase(flight.get());
          }
          if (status.ok()) return done(FromProto(*response));
          const bool gone = flight->cancelled && flight->cancelled();
          done(gone ? FromGrpc(status, peer) : WhyAwaited(status, peer));
        });
}

void ExecutorClient::Classify(worker::ClassifyCall call,
                              ClassifyCallback done) {
  auto request = std::make_shared<pb::ClassifyRequest>();
  ToProto(call, request.get());
  Send<pb::ClassifyRequest, pb::ClassifyResponse>(
      std::move(request), call.deadline, std::move(call.cancelled),
      [](auto* stub, auto* context, auto* sent, auto* received, auto then) {
        stub->async()->Classify(context, sent, received, std::move(then));
      },
      std::move(done));
}

void ExecutorClient::VerifyEncoder(worker::VerifyCall call,
                                   VerifyCallback done) {
  auto request = std::make_shared<pb::VerifyEncoderRequest>();
  request->set_encoder_digest(call.encoder_digest);
  Send<pb::VerifyEncoderRequest, pb::EncoderVerification>(
      std::move(request), call.deadline, std::move(call.cancelled),
      [](auto* stub, auto* context, auto* sent, auto* received, auto then) {
        stub->async()->VerifyEncoder(context, sent, received, std::move(then));
      },
      std::move(done));
}

void ExecutorClient::EmbedTexts(worker::EmbedTextsCall call,
                                EmbedTextsCallback done) {
  auto request = std::make_shared<pb::EmbedTextsRequest>();
  ToProto(call, request.get());
  Send<pb::EmbedTextsRequest, pb::EmbedTextsResponse>(
      std::move(request), call.deadline, std::move(call.cancelled),
      [](auto* stub, auto* context, auto* sent, auto* received, auto then) {
        stub->async()->EmbedTexts(context, sent, received, std::move(then));
      },
      std::move(done));
}

void ExecutorClient::Interpret(worker::InterpretCall call,
                               InterpretCallback done) {
  auto request = std::make_shared<pb::InterpretRequest>();
  ToProto(call, request.get());
  Send<pb::InterpretRequest, pb::InterpretResponse>(
      std::move(request), call.deadline, std::move(call.cancelled),
      [](auto* stub, auto* context, auto* sent, auto* received, auto then) {
        stub->async()->Interpret(context, sent, received, std::move(then));
      },
      std::move(done));
}

absl::StatusOr<worker::PromptCheck> ExecutorClient::CheckPrompt(
    const std::string& encoder_digest, int context_tokens,
    const std::string& context_init,
    const std::vector<std::string>& class_names) const {
  pb::CheckPromptRequest request;
  request.set_encoder_digest(encoder_digest);
  request.set_context_tokens(context_tokens);
  request.set_context_init(context_init);
  for (const std::string& name : class_names) request.add_class_names(name);
  grpc::ClientContext context;
  Prepare(token_, absl::Now() + kCheckPromptTime, &context);
  pb::PromptCheck check;
  const grpc::Status status = stub_->CheckPrompt(&context, request, &check);
  if (!status.ok()) return WhyAwaited(status, peer_);
  return FromProto(check);
}

}  // namespace promptd::wire

#include "wire/executor_service.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "wire/convert_call.h"

namespace promptd::wire {
namespace {

std::string Path(const char* method) {
  return absl::StrCat("/promptd.worker.v1.ExecutorService/", method);
}

// Hands an outcome on as the message that it is.
template <typename Response, typename Outcome>
std::function<void(absl::StatusOr<Outcome>)> Converting(
    MethodTable::Done<Response> done) {
  return [done = std::move(done)](const absl::StatusOr<Outcome>& outcome) {
    if (!outcome.ok()) return done(outcome.status());
    Response response;
    ToProto(*outcome, &response);
    done(std::move(response));
  };
}

void AddComputing(worker::Executor* executor, MethodTable* table) {
  table->Unary<pb::ClassifyRequest, pb::ClassifyResponse>(
      Path("Classify"),
      [executor](const SharedCall& call, const pb::ClassifyRequest& request,
                 MethodTable::Done<pb::ClassifyResponse> done) {
        worker::ClassifyCall asked = FromProto(request);
        asked.deadline = call->deadline();
        asked.cancelled = call->CancelledFunction();
        executor->Classify(
            std::move(asked),
            Converting<pb::ClassifyResponse, worker::ClassifyOutcome>(
                std::move(done)));
      });
  table->Unary<pb::EmbedTextsRequest, pb::EmbedTextsResponse>(
      Path("EmbedTexts"),
      [executor](const SharedCall& call, const pb::EmbedTextsRequest& request,
                 MethodTable::Done<pb::EmbedTextsResponse> done) {
        worker::EmbedTextsCall asked = FromProto(request);
        asked.deadline = call->deadline();
        asked.cancelled = call->CancelledFunction();
        executor->EmbedTexts(
            std::move(asked),
            Converting<pb::EmbedTextsResponse,
                       std::vector<worker::TextOutcome>>(std::move(done)));
      });
  table->Unary<pb::InterpretRequest, pb::InterpretResponse>(
      Path("Interpret"),
      [executor](const SharedCall& call, const pb::InterpretRequest& request,
                 MethodTable::Done<pb::InterpretResponse> done) {
        worker::InterpretCall asked = FromProto(request);
        asked.deadline = call->deadline();
        asked.cancelled = call->CancelledFunction();
        executor->Interpret(
            std::move(asked),
            Converting<pb::InterpretResponse, std::vector<worker::VectorWords>>(
                std::move(done)));
      });
}

void AddChecks(worker::Executor* executor, MethodTable* table) {
  table->Unary<pb::VerifyEncoderRequest, pb::EncoderVerification>(
      Path("VerifyEncoder"),
      [executor](const SharedCall& call,
                 const pb::VerifyEncoderRequest& request,
                 MethodTable::Done<pb::EncoderVerification> done) {
        executor->VerifyEncoder(
            {request.encoder_digest(), call->deadline(),
             call->CancelledFunction()},
            Converting<pb::EncoderVerification, worker::EncoderVerification>(
                std::move(done)));
      });
  table->UnaryNow<pb::CheckPromptRequest, pb::PromptCheck>(
      Path("CheckPrompt"),
      [executor](const SharedCall&, const pb::CheckPromptRequest& request)
          -> absl::StatusOr<pb::PromptCheck> {
        ASSIGN_OR_RETURN(
            const worker::PromptCheck check,
            executor->CheckPrompt(
                request.encoder_digest(), request.context_tokens(),
                request.context_init(),
                {request.class_names().begin(), request.class_names().end()}));
        pb::PromptCheck reply;
        ToProto(check, &reply);
        return reply;
      });
}

}  // namespace

std::unique_ptr<MethodTable> MakeExecutorService(WorkerToken token,
                                                 MethodTable::Post post,
                                                 worker::Executor* executor) {
  auto table = std::make_unique<MethodTable>(std::move(token), std::move(post));
  AddComputing(executor, table.get());
  AddChecks(executor, table.get());
  return table;
}

}  // namespace promptd::wire

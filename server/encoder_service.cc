#include "server/encoder_service.h"

#include <memory>

#include "common/error.h"
#include "common/status_macros.h"
#include "server/classify_calls.h"
#include "server/convert_registry.h"
#include "server/embed_calls.h"
#include "server/spec_resolver.h"
#include "worker/executor.h"

namespace promptd::server {

EncoderServiceImpl::EncoderServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.EncoderService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* EncoderServiceImpl::ListEncoders(
    grpc::CallbackServerContext* context,
    const v1::ListEncodersRequest* /*request*/,
    v1::ListEncodersResponse* reply) {
  return rpc_.Unary(context, "ListEncoders", [this, reply](const Call&) {
    for (const auto& encoder : backend_.executor->Encoders()) {
      ToProto(encoder, reply->add_encoders());
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* EncoderServiceImpl::GetEncoder(
    grpc::CallbackServerContext* context, const v1::GetEncoderRequest* request,
    v1::Encoder* reply) {
  return rpc_.Unary(context, "GetEncoder",
                    [this, request, reply](const Call&) -> absl::Status {
                      if (request->name().empty()) {
                        return InvalidFields("INVALID_ENCODER_NAME",
                                             {{"name", "is required"}});
                      }
                      ASSIGN_OR_RETURN(const worker::EncoderDescription encoder,
                                       FindEncoder(backend_, request->name()));
                      ToProto(encoder, reply);
                      return absl::OkStatus();
                    });
}

grpc::ServerUnaryReactor* EncoderServiceImpl::VerifyEncoder(
    grpc::CallbackServerContext* context,
    const v1::VerifyEncoderRequest* request, v1::VerifyEncoderResponse* reply) {
  return rpc_.UnaryAsync(
      context, "VerifyEncoder", DeadlineRule{},
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        const auto encoder = FindEncoder(backend_, request->name());
        if (!encoder.ok()) return done(encoder.status());
        ToProto(*encoder, reply->mutable_encoder());
        backend_.executor->VerifyEncoder(
            {encoder->digest, call->deadline(), call->CancelledFunction()},
            [call, reply,
             done](const absl::StatusOr<worker::EncoderVerification>& outcome) {
              done(Guarded(*call, [&]() -> absl::Status {
                RETURN_IF_ERROR(outcome.status());
                ToProto(*outcome, reply);
                return absl::OkStatus();
              }));
            });
      });
}

grpc::ServerUnaryReactor* EncoderServiceImpl::EmbedImages(
    grpc::CallbackServerContext* context, const v1::EmbedImagesRequest* request,
    v1::EmbedResponse* reply) {
  return rpc_.UnaryAsync(
      context, "EmbedImages", ClassifyDeadline(backend_.limits),
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        server::EmbedImages(backend_, call, *request, reply, done);
      });
}

grpc::ServerUnaryReactor* EncoderServiceImpl::EmbedTexts(
    grpc::CallbackServerContext* context, const v1::EmbedTextsRequest* request,
    v1::EmbedResponse* reply) {
  return rpc_.UnaryAsync(
      context, "EmbedTexts", ClassifyDeadline(backend_.limits),
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        server::EmbedTexts(backend_, call, *request, reply, done);
      });
}

}  // namespace promptd::server

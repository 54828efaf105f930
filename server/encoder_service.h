// promptd.v1.EncoderService: the encoders that the worker holds.
#pragma once

#include "promptd/v1/encoder.grpc.pb.h"
#include "server/backend.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class EncoderServiceImpl : public v1::EncoderService::CallbackService {
 public:
  explicit EncoderServiceImpl(const Backend* backend);

  grpc::ServerUnaryReactor* ListEncoders(
      grpc::CallbackServerContext* context,
      const v1::ListEncodersRequest* request,
      v1::ListEncodersResponse* reply) override;
  grpc::ServerUnaryReactor* GetEncoder(grpc::CallbackServerContext* context,
                                       const v1::GetEncoderRequest* request,
                                       v1::Encoder* reply) override;
  grpc::ServerUnaryReactor* VerifyEncoder(
      grpc::CallbackServerContext* context,
      const v1::VerifyEncoderRequest* request,
      v1::VerifyEncoderResponse* reply) override;
  grpc::ServerUnaryReactor* EmbedImages(grpc::CallbackServerContext* context,
                                        const v1::EmbedImagesRequest* request,
                                        v1::EmbedResponse* reply) override;
  grpc::ServerUnaryReactor* EmbedTexts(grpc::CallbackServerContext* context,
                                       const v1::EmbedTextsRequest* request,
                                       v1::EmbedResponse* reply) override;

 private:
  const Backend& backend_;
  Rpc rpc_;
};

}  // namespace promptd::server

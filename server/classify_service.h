// promptd.v1.ClassifyService: learned prompts and ad-hoc labels.
#pragma once

#include "promptd/v1/classify.grpc.pb.h"
#include "server/arena_messages.h"
#include "server/backend.h"
#include "server/open_streams.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class ClassifyServiceImpl : public v1::ClassifyService::CallbackService {
 public:
  explicit ClassifyServiceImpl(const Backend* backend);

  // Ends the open streams and lets no more in.
  void Drain() { streams_.Drain(); }

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* reply) override;
  grpc::ServerUnaryReactor* ZeroShotClassify(
      grpc::CallbackServerContext* context,
      const v1::ZeroShotClassifyRequest* request,
      v1::ClassifyResponse* reply) override;
  grpc::ServerUnaryReactor* MultiClassify(
      grpc::CallbackServerContext* context,
      const v1::MultiClassifyRequest* request,
      v1::MultiClassifyResponse* reply) override;
  grpc::ServerBidiReactor<v1::ClassifyStreamRequest,
                          v1::ClassifyStreamResponse>*
  ClassifyStream(grpc::CallbackServerContext* context) override;

 private:
  // `Run` is one of the functions of classify_calls.h and multi_classify.h.
  template <typename Request, typename Reply, typename Run>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const char* method, const Request* request,
                                  Reply* reply, Run run,
                                  const Rpc::Choice& where = nullptr);

  const Backend& backend_;
  Rpc rpc_;
  OpenStreams streams_;
  ArenaMessages<v1::ClassifyRequest, v1::ClassifyResponse> classify_messages_;
  ArenaMessages<v1::MultiClassifyRequest, v1::MultiClassifyResponse>
      multi_classify_messages_;
};

}  // namespace promptd::server

#include "server/classify_service.h"

#include <memory>

#include "server/classify_calls.h"
#include "server/classify_stream.h"
#include "server/multi_classify.h"

namespace promptd::server {

ClassifyServiceImpl::ClassifyServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.ClassifyService", backend->metrics, backend->pool),
      streams_("classify",
               static_cast<size_t>(backend->limits.max_classify_streams)) {
  SetMessageAllocatorFor_Classify(&classify_messages_);
  SetMessageAllocatorFor_MultiClassify(&multi_classify_messages_);
}

template <typename Request, typename Reply, typename Run>
grpc::ServerUnaryReactor* ClassifyServiceImpl::Unary(
    grpc::CallbackServerContext* context, const char* method,
    const Request* request, Reply* reply, Run run, const Rpc::Choice& where) {
  return rpc_.UnaryAsync(
      context, method, ClassifyDeadline(backend_.limits),
      [this, request, reply, run](const std::shared_ptr<Call>& call,
                                  const Rpc::Done& done) {
        run(backend_, call, call->deadline(), *request, reply, done);
      },
      where);
}

grpc::ServerUnaryReactor* ClassifyServiceImpl::Classify(
    grpc::CallbackServerContext* context, const v1::ClassifyRequest* request,
    v1::ClassifyResponse* reply) {
  return Unary(context, "Classify", request, reply, server::Classify,
               [this, request](const Call& call) {
                 return WhereToClassify(backend_, call, *request);
               });
}

grpc::ServerUnaryReactor* ClassifyServiceImpl::ZeroShotClassify(
    grpc::CallbackServerContext* context,
    const v1::ZeroShotClassifyRequest* request, v1::ClassifyResponse* reply) {
  return Unary(context, "ZeroShotClassify", request, reply,
               server::ZeroShotClassify);
}

grpc::ServerUnaryReactor* ClassifyServiceImpl::MultiClassify(
    grpc::CallbackServerContext* context,
    const v1::MultiClassifyRequest* request, v1::MultiClassifyResponse* reply) {
  return Unary(context, "MultiClassify", request, reply, server::MultiClassify);
}

grpc::ServerBidiReactor<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>*
ClassifyServiceImpl::ClassifyStream(grpc::CallbackServerContext* context) {
  auto* stream = new server::ClassifyStream(
      rpc_.Begin(context, "ClassifyStream"), &rpc_, &backend_, &streams_);
  stream->Start();
  return stream;
}

}  // namespace promptd::server

#include "server/infer_stream.h"

#include <utility>

#include "server/grpc_status.h"

namespace promptd::server {

InferStream::InferStream(std::shared_ptr<Call> call, const Rpc* rpc,
                         const Backend* backend, InferState* state,
                         OpenStreams* streams, bool end_on_error)
    : ItemStream(std::move(call), rpc, streams),
      backend_(backend),
      state_(state),
      end_on_error_(end_on_error) {}

void InferStream::Handle(const ItemPtr& item, const Rpc::Done& answer) {
  Infer(*backend_, state_, call(), item->request,
        item->response.mutable_infer_response(), answer);
}

Where InferStream::WhereToHandle(const inference::ModelInferRequest& request) {
  return WhereToInfer(*backend_, *call(), request);
}

absl::Status InferStream::Fail(const absl::Status& status, Item* item) {
  if (end_on_error_) return status;
  item->response.set_error_message(
      ToGrpcStatus(status, call()->request_id()).error_message());
  item->response.clear_infer_response();
  item->response.mutable_infer_response()->set_id(item->request.id());
  return absl::OkStatus();
}

}  // namespace promptd::server

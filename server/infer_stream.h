// ModelStreamInfer: requests come in, answers go out as they are ready.
#pragma once

#include <memory>

#include "inference/inference.pb.h"
#include "server/backend.h"
#include "server/infer_call.h"
#include "server/item_stream.h"

namespace promptd::server {

class InferStream : public ItemStream<inference::ModelInferRequest,
                                      inference::ModelStreamInferResponse> {
 public:
  // Owns itself. `end_on_error`: the first error is the stream's. The pointers
  // are borrowed.
  InferStream(std::shared_ptr<Call> call, const Rpc* rpc,
              const Backend* backend, InferState* state, OpenStreams* streams,
              bool end_on_error);

 private:
  void Handle(const ItemPtr& item, const Rpc::Done& answer) override;
  Where WhereToHandle(const inference::ModelInferRequest& request) override;
  absl::Status Fail(const absl::Status& status, Item* item) override;

  const Backend* const backend_;
  InferState* const state_;
  const bool end_on_error_;
};

}  // namespace promptd::server

// One request of the Open Inference Protocol, from its bytes to its answer.
#pragma once

#include <memory>

#include "inference/inference.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/infer_statistics.h"
#include "server/rpc.h"
#include "server/shared_memory.h"

namespace promptd::server {

// Where the request runs: here if it is small and all that it takes is in
// memory.
Where WhereToInfer(const Backend& backend, const Call& call,
                   const inference::ModelInferRequest& request);

// What the requests of a process have in common.
struct InferState {
  InferStatisticsTable statistics;
  SharedRegions regions;
};

// Calls `done` exactly once; the pointers and references outlive that. The
// protocol has no errors of single images: one that cannot be read fails the
// request with its reason and its row. Errors: FindModel, ReadRequest, the
// executor's. Every answer is counted in `state`.
void Infer(const Backend& backend, InferState* state,
           const std::shared_ptr<Call>& call,
           const inference::ModelInferRequest& request,
           inference::ModelInferResponse* reply, const Rpc::Done& done);

}  // namespace promptd::server

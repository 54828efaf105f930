// EncoderService's embedding calls: checked, run by the worker, answered.
#pragma once

#include <memory>

#include "promptd/v1/encoder.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/rpc.h"

namespace promptd::server {

// Call `done` exactly once; `backend`, `request` and `reply` outlive that.
// INVALID_ARGUMENT (INVALID_EMBED_REQUEST); NOT_FOUND (ENCODER_NOT_FOUND);
// the executor's errors.
void EmbedImages(const Backend& backend, const std::shared_ptr<Call>& call,
                 const v1::EmbedImagesRequest& request,
                 v1::EmbedResponse* reply, const Rpc::Done& done);
void EmbedTexts(const Backend& backend, const std::shared_ptr<Call>& call,
                const v1::EmbedTextsRequest& request, v1::EmbedResponse* reply,
                const Rpc::Done& done);

}  // namespace promptd::server

// MultiClassify: several tasks over the same images, one encode an image.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "promptd/v1/classify.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/rpc.h"

namespace promptd::server {

// As Classify() of classify_calls.h. What is wrong with one task is in its
// result; what may pass with time (RESOURCE_EXHAUSTED, UNAVAILABLE) and the
// caller's end are the call's error.
void MultiClassify(const Backend& backend, const std::shared_ptr<Call>& call,
                   absl::Time deadline, const v1::MultiClassifyRequest& request,
                   v1::MultiClassifyResponse* reply, const Rpc::Done& done);

}  // namespace promptd::server

// ClassifyService's calls: checked, pinned, run by the worker, answered. Alone
// or as items of a stream.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/time/time.h"
#include "promptd/v1/classify.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/rpc.h"
#include "server/version_pins.h"

namespace promptd::server {

// Of a classify or embed call.
DeadlineRule ClassifyDeadline(const Limits& limits);

// Where a call runs that finds all it takes in memory: here, if it is small.
Where WhereToRun(size_t bytes, size_t images, size_t classes);
// Whether all that a call of this version takes is in memory. Null is not.
bool IsAtHand(const Backend& backend, const VersionPin& version);
Where WhereToClassify(const Backend& backend, const Call& call,
                      const v1::ClassifyRequest& request);

// All call `done` exactly once; `backend`, `request` and `reply` outlive that.
// INVALID_ARGUMENT (INVALID_CLASSIFY_REQUEST); NOT_FOUND (TASK_NOT_FOUND,
// ALIAS_NOT_FOUND, VERSION_NOT_FOUND, ENCODER_NOT_FOUND); the executor's
// errors.
void Classify(const Backend& backend, const std::shared_ptr<Call>& call,
              absl::Time deadline, const v1::ClassifyRequest& request,
              v1::ClassifyResponse* reply, const Rpc::Done& done);
void ZeroShotClassify(const Backend& backend, const std::shared_ptr<Call>& call,
                      absl::Time deadline,
                      const v1::ZeroShotClassifyRequest& request,
                      v1::ClassifyResponse* reply, const Rpc::Done& done);

}  // namespace promptd::server

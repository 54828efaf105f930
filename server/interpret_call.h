// PromptService.InterpretVersion: checked, run by the worker, answered.
#pragma once

#include <memory>

#include "promptd/v1/prompt.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/rpc.h"

namespace promptd::server {

// As for classify calls.
DeadlineRule InterpretDeadline(const Limits& limits);

// Calls `done` exactly once; `backend`, `request` and `reply` outlive that.
// INVALID_ARGUMENT with every violation, under the reason of the first
// (BAD_TOP_K, CONTEXT_IS_SHARED, UNKNOWN_CLASS, TOO_MANY_VECTORS); NOT_FOUND
// (TASK_NOT_FOUND, VERSION_NOT_FOUND, ALIAS_NOT_FOUND); the executor's errors.
void InterpretVersion(const Backend& backend, const std::shared_ptr<Call>& call,
                      const v1::InterpretVersionRequest& request,
                      v1::InterpretVersionResponse* reply,
                      const Rpc::Done& done);

}  // namespace promptd::server

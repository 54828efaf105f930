// promptd.worker.v1.ExecutorService: a worker's executor for its front end.
#pragma once

#include <memory>

#include "wire/method_table.h"
#include "worker/executor.h"

namespace promptd::wire {

// The methods; `executor` must outlive the server they are served by. Calls
// carry their deadline, and end when the front end cancels them.
std::unique_ptr<MethodTable> MakeExecutorService(WorkerToken token,
                                                 MethodTable::Post post,
                                                 worker::Executor* executor);

}  // namespace promptd::wire

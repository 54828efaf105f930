// promptd.worker.v1.ControlService: a front end's control for its workers.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "wire/method_table.h"
#include "wire/worker_registry.h"
#include "worker/control.h"

namespace promptd::wire {

// The methods; `control` and `registry` must outlive the server they are
// served by. `lease` is what the workers are told.
std::unique_ptr<MethodTable> MakeControlService(WorkerToken token,
                                                MethodTable::Post post,
                                                worker::Control* control,
                                                WorkerRegistry* registry,
                                                absl::Duration lease);

}  // namespace promptd::wire

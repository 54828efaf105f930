// One worker as a router sees it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "worker/executor.h"

namespace promptd::wire {

struct RouteTarget {
  std::string id;
  // Shared, as a call may outlive the worker's session.
  std::shared_ptr<worker::Executor> executor;
  // Images and other calls that it was asked for and has not answered.
  std::atomic<int64_t> load = 0;
};

}  // namespace promptd::wire

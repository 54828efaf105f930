// A few threads for work that blocks (SQLite, files), so that gRPC's own
// threads never do.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"

namespace promptd {

// Submit fails at once when `capacity` tasks wait: the caller answers
// RESOURCE_EXHAUSTED. Tasks must not throw. Thread-safe.
class WorkPool {
 public:
  WorkPool(int threads, size_t capacity);
  // Runs what is queued, then joins.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  bool TrySubmit(std::function<void()> task);

 private:
  BoundedQueue<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
};

}  // namespace promptd

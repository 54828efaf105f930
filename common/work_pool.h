// A few threads for work that other threads must not do themselves: what blocks
// (SQLite, files) keeps off gRPC's own.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"

namespace promptd {

// Submit fails at once when `capacity` tasks wait: the caller answers
// RESOURCE_EXHAUSTED, or does the work itself. Tasks must not throw.
// Thread-safe.
class WorkPool {
 public:
  // Each thread calls `start`, where there is one, before its first task.
  WorkPool(int threads, size_t capacity,
           const std::function<void()>& start = nullptr);
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

#include "common/work_pool.h"

#include <utility>

namespace promptd {

WorkPool::WorkPool(int threads, size_t capacity,
                   const std::function<void()>& start)
    : queue_(capacity) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, start] {
      if (start) start();
      while (auto task = queue_.Pop()) (*task)();
    });
  }
}

WorkPool::~WorkPool() {
  queue_.Close();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkPool::TrySubmit(std::function<void()> task) {
  return queue_.TryPush(std::move(task));
}

}  // namespace promptd

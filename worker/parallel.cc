#include "worker/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace promptd::worker {

void ParallelFor(size_t count, int threads,
                 const std::function<void(size_t)>& fn) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) fn(i);
  };
  std::vector<std::thread> helpers;
  const size_t wanted = std::min(count, static_cast<size_t>(threads));
  for (size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace promptd::worker

#include "clip/side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "common/scheduling.h"
#include "common/work_pool.h"

namespace promptd::clip {
namespace {

// Pieces that wait; beyond, the caller runs its pieces itself.
constexpr size_t kMostWaiting = 4096;

// Never destroyed: a process may end while they wait for work.
WorkPool* StartThreads() {
  const int count = at::get_num_threads();
  absl::BlockingCounter ready(count);
  auto* const threads = new WorkPool(count, kMostWaiting, [&ready] {
    YieldToAnswering();
    // The first use of a thread gives it the process's number; this comes
    // after.
    at::get_num_threads();
    at::set_num_threads(1);
    ready.DecrementCount();
  });
  ready.Wait();
  // For the threads that are yet to come.
  at::set_num_threads(count);
  return threads;
}

WorkPool* Threads() {
  static WorkPool* const threads = StartThreads();
  return threads;
}

// False: the caller runs it. The task is made here, where memory may be short.
template <typename Piece>
bool TrySubmit(const Piece& piece) {
  try {
    return Threads()->TrySubmit(piece);
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

bool KeepBusy(int64_t threads, int64_t pieces) {
  const int64_t most = (pieces + threads - 1) / threads;
  return threads > 1 && 5 * pieces >= 4 * threads * most;
}

void RunSideBySide(int64_t count, absl::FunctionRef<void(int64_t)> piece) {
  std::vector<std::exception_ptr> thrown(static_cast<size_t>(count));
  absl::BlockingCounter left(static_cast<int>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto run = [&, i] {
      try {
        const at::NoGradGuard no_grad;
        piece(i);
      } catch (...) {
        thrown[static_cast<size_t>(i)] = std::current_exception();
      }
      left.DecrementCount();
    };
    if (!TrySubmit(run)) run();
  }
  left.Wait();
  for (const std::exception_ptr& what : thrown) {
    if (what != nullptr) std::rethrow_exception(what);
  }
}

void RunAside(std::function<void()> work) {
  const auto run = [work = std::move(work)] {
    const at::NoGradGuard no_grad;
    work();
  };
  if (!TrySubmit(run)) run();
}

}  // namespace promptd::clip

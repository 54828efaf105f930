#include "clip/side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <exception>
#include <functional>
#include <new>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "common/bounded_queue.h"
#include "common/scheduling.h"

namespace promptd::clip {
namespace {

// Pieces that wait; beyond, the caller runs its pieces itself.
constexpr size_t kMostWaiting = 4096;

// Never destroyed: a process may end while they wait for work.
class SoloThreads {
 public:
  explicit SoloThreads(int count) : queue_(kMostWaiting) {
    absl::BlockingCounter ready(count);
    for (int i = 0; i < count; ++i) {
      std::thread([this, &ready] {
        YieldToAnswering();
        // The first use of a thread gives it the process's number; this comes
        // after.
        at::get_num_threads();
        at::set_num_threads(1);
        ready.DecrementCount();
        while (auto piece = queue_.Pop()) (*piece)();
      }).detach();
    }
    ready.Wait();
    // For the threads that are yet to come.
    at::set_num_threads(count);
  }

  // False: the caller runs it.
  template <typename Piece>
  bool TrySubmit(const Piece& piece) {
    try {
      return queue_.TryPush(piece);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

 private:
  BoundedQueue<std::function<void()>> queue_;
};

}  // namespace

void RunSideBySide(int64_t count, absl::FunctionRef<void(int64_t)> piece) {
  static SoloThreads* const threads = new SoloThreads(at::get_num_threads());
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
    if (!threads->TrySubmit(run)) run();
  }
  left.Wait();
  for (const std::exception_ptr& what : thrown) {
    if (what != nullptr) std::rethrow_exception(what);
  }
}

}  // namespace promptd::clip

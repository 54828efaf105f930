#include "worker/runtime.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include <ATen/Parallel.h>

namespace promptd::worker {
namespace {

// A third of the processor time of a thread that does not yield, when both
// want it.
constexpr int kComputeNice = 5;

}  // namespace

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void YieldToAnswering() {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  // Linux keeps this for each thread. A refusal costs nothing but the order.
  (void)::setpriority(PRIO_PROCESS, thread,
                      ::getpriority(PRIO_PROCESS, thread) + kComputeNice);
}

int ConfigureCompute(const ComputeOptions& options) {
  static std::once_flag once;
  std::call_once(once, [&options] {
    at::set_num_threads(options.threads > 0 ? options.threads : UsableCores());
    at::set_num_interop_threads(1);
  });
  return at::get_num_threads();
}

}  // namespace promptd::worker

#include "worker/runtime.h"

#include <sched.h>

#include <algorithm>
#include <mutex>

#include <ATen/Parallel.h>

#include "clip/side_by_side.h"

namespace promptd::worker {

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int ConfigureCompute(const ComputeOptions& options) {
  static std::once_flag once;
  std::call_once(once, [&options] {
    at::set_num_threads(options.threads > 0 ? options.threads : UsableCores());
    at::set_num_interop_threads(1);
    // Starts its threads now, before others compute.
    clip::RunSideBySide(1, [](int64_t) {});
  });
  return at::get_num_threads();
}

}  // namespace promptd::worker

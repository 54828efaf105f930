#include "common/scheduling.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace promptd {
namespace {

constexpr int kComputeNice = 5;
constexpr uint64_t kShortestSlice = 100'000;  // ns, the least that Linux takes
constexpr uint64_t kUsualSlice = 0;
constexpr uint64_t kKeepPolicy = 0x08;  // SCHED_FLAG_KEEP_POLICY

// The kernel's struct sched_attr, as of its first version; glibc 2.36 has none.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = 0;
  uint64_t flags = kKeepPolicy;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t slice = 0;  // ns; "runtime" in the kernel
  uint64_t deadline = 0;
  uint64_t period = 0;
};

// Of this thread. Linux keeps both for each thread. A refusal, of a thread with
// a real-time policy or by an old kernel, costs nothing but the order.
void SetOrder(int more_nice, uint64_t slice) {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  const int nice = ::getpriority(PRIO_PROCESS, thread) + more_nice;
  SchedulingAttributes attributes;
  attributes.nice = nice;
  attributes.slice = slice;
  if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    (void)::setpriority(PRIO_PROCESS, thread, nice);
  }
}

}  // namespace

void AnswerPromptly() { SetOrder(0, kShortestSlice); }

void YieldToAnswering() { SetOrder(kComputeNice, kUsualSlice); }

}  // namespace promptd

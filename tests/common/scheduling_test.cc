#include "common/scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <thread>

#include "gtest/gtest.h"

namespace promptd {
namespace {

constexpr uint64_t kShortest = 100'000;  // ns

struct Order {
  int nice = 0;
  uint64_t slice = 0;
};

Order OrderOfThisThread() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice, deadline, period;
  } attributes = {};
  EXPECT_EQ(::syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0),
            0);
  return {attributes.nice, attributes.slice};
}

// Earlier kernels take the request and keep their own slices.
bool KernelHasSlices() {
  utsname names{};
  int major = 0;
  int minor = 0;
  EXPECT_EQ(::uname(&names), 0);
  EXPECT_EQ(std::sscanf(names.release, "%d.%d", &major, &minor), 2);
  return major > 6 || (major == 6 && minor >= 12);
}

// The order of a test's thread is its own.
void OnAThread(const std::function<void()>& test) { std::thread(test).join(); }

TEST(SchedulingTest, AThreadThatAnswersHasTheShortestSliceAsThoseItStarts) {
  OnAThread([] {
    const Order before = OrderOfThisThread();
    AnswerPromptly();
    EXPECT_EQ(OrderOfThisThread().nice, before.nice);
    OnAThread([&] {
      const Order inherited = OrderOfThisThread();
      EXPECT_EQ(inherited.nice, before.nice);
      if (KernelHasSlices()) {
        EXPECT_EQ(inherited.slice, kShortest);
      }
    });
  });
}

TEST(SchedulingTest, AThreadThatComputesYieldsAlsoWhenAnAnsweringOneStartsIt) {
  OnAThread([] {
    const Order before = OrderOfThisThread();
    AnswerPromptly();
    OnAThread([&] {
      YieldToAnswering();
      const Order computing = OrderOfThisThread();
      EXPECT_EQ(computing.nice, std::min(before.nice + 5, 19));
      if (KernelHasSlices()) {
        EXPECT_GT(computing.slice, kShortest);
      }
    });
    EXPECT_EQ(OrderOfThisThread().nice, before.nice);
  });
}

}  // namespace
}  // namespace promptd

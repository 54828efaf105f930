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
  uint32_t policy = 0;
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
  return {attributes.policy, attributes.nice, attributes.slice};
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
    EXPECT_EQ(OrderOfThisThread().policy, before.policy);
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
      EXPECT_EQ(computing.policy, uint32_t{SCHED_BATCH});
      if (KernelHasSlices()) {
        EXPECT_GT(computing.slice, kShortest);
      }
    });
    EXPECT_EQ(OrderOfThisThread().nice, before.nice);
    EXPECT_EQ(OrderOfThisThread().policy, before.policy);
  });
}

TEST(SchedulingTest, APolicyThatSomebodyChoseStays) {
  OnAThread([] {
    const sched_param none = {};
    ASSERT_EQ(::sched_setscheduler(0, SCHED_IDLE, &none), 0);
    AnswerPromptly();
    EXPECT_EQ(::sched_getscheduler(0), SCHED_IDLE);
    YieldToAnswering();
    EXPECT_EQ(::sched_getscheduler(0), SCHED_IDLE);
  });
}

}  // namespace
}  // namespace promptd

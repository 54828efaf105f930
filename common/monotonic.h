// Time that no one sets: what leases and silence are measured with. It goes on
// while the process is stopped.
#pragma once

#include <time.h>

#include <cstdint>

namespace promptd {

inline int64_t MonotonicNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace promptd

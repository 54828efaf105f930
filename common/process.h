// What a long-running program does with its process: signals, limits, locks.
#pragma once

#include <signal.h>

#include "absl/status/status.h"

namespace promptd {

// As many open files as the system lets us have: each client is one.
void RaiseFileLimit();

// Without the search for deadlocks at every lock that Debian's abseil is built
// with: all locks of the process take one more for it. Once, before any thread.
// A debug build keeps it.
void UsePlainMutexes();

// Arms what $PROMPTD_FAILPOINTS lists (common/failpoint.h), if anything, and
// says so in the log, there and each time that a point fires. INVALID_ARGUMENT
// (BAD_FAILPOINTS).
absl::Status ArmFailpointsFromEnvironment();

// SIGINT and SIGTERM as an event to wait for, and SIGPIPE ignored.
//
//   const StopSignals stop;  // first thing in main, before any thread
//   ... start ...
//   stop.Wait();
//   ... stop ...
class StopSignals {
 public:
  // Blocks the signals in this thread and those it will make.
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Returns at the first signal, which is logged; a second one ends the
  // process at once.
  void Wait() const;

 private:
  sigset_t signals_;
};

}  // namespace promptd

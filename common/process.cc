#include "common/process.h"

#include <pthread.h>
#include <sys/resource.h>

#include "absl/synchronization/mutex.h"
#include "common/log.h"

namespace promptd {

void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void UsePlainMutexes() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

void StopSignals::Wait() const {
  int signal = 0;
  while (::sigwait(&signals_, &signal) != 0) {
  }
  LogEvent(spdlog::level::info, "stopping", {{"signal", signal}});
  ::pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
}

}  // namespace promptd

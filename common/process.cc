#include "common/process.h"

#include <pthread.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>

#include "absl/synchronization/mutex.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/status_macros.h"

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

absl::Status ArmFailpointsFromEnvironment() {
  const char* const text = std::getenv("PROMPTD_FAILPOINTS");
  if (text == nullptr || *text == '\0') return absl::OkStatus();
  SetFailpointLog(
      [](absl::string_view point, absl::string_view action, int64_t hit) {
        nlohmann::json fields = {{"point", std::string(point)},
                                 {"action", std::string(action)}};
        if (hit > 0) fields["hit"] = hit;
        LogEventNow(spdlog::level::warn,
                    hit > 0 ? "failpoint" : "failpoint_armed", fields);
      });
  RETURN_IF_ERROR(ArmFailpoints(text));
  LogEvent(spdlog::level::critical, "failpoints_armed",
           {{"warning",
             "PROMPTD_FAILPOINTS is set: this process fails on purpose and is "
             "for tests only; unset it before you serve anybody"},
            {"failpoints", text}});
  return absl::OkStatus();
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

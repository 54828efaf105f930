#include "client/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/exit_code.h"

namespace promptd::client {
namespace {

// The live actions. Never destroyed: the watcher thread may outlive statics.
struct Actions {
  absl::Mutex mutex;
  std::vector<std::function<void()>> stack ABSL_GUARDED_BY(mutex);
};

Actions& GlobalActions() {
  static Actions* const actions = new Actions;
  return *actions;
}

sigset_t WatchedSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGUSR1);  // ends the watcher
  return set;
}

// Runs the actions under the lock: their owners' destructors wait for it.
[[noreturn]] void Leave() {
  Actions& actions = GlobalActions();
  absl::MutexLock lock(&actions.mutex);
  while (!actions.stack.empty()) {
    const std::function<void()> action = std::move(actions.stack.back());
    actions.stack.pop_back();
    action();
  }
  ::_exit(static_cast<int>(ExitCode::kInterrupted));
}

}  // namespace

InterruptWatcher::InterruptWatcher() {
  const sigset_t set = WatchedSignals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([] {
    const sigset_t watched = WatchedSignals();
    int signal = 0;
    while (::sigwait(&watched, &signal) != 0) {
    }
    if (signal != SIGUSR1) Leave();
  });
}

InterruptWatcher::~InterruptWatcher() {
  ::pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

OnInterrupt::OnInterrupt(std::function<void()> action) {
  Actions& actions = GlobalActions();
  absl::MutexLock lock(&actions.mutex);
  actions.stack.push_back(std::move(action));
}

OnInterrupt::~OnInterrupt() {
  Actions& actions = GlobalActions();
  absl::MutexLock lock(&actions.mutex);
  if (!actions.stack.empty()) actions.stack.pop_back();
}

}  // namespace promptd::client

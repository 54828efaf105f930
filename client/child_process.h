// A program that lives no longer than this object, nor than this process: it
// is killed when its parent dies for whatever reason.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::client {

struct ChildOptions {
  std::string program;                 // path
  std::vector<std::string> arguments;  // without the program's name
  std::vector<std::pair<std::string, std::string>> environment;  // added
  std::string log_file;  // gets both output streams
};

// Thread-safe.
class ChildProcess {
 public:
  // INTERNAL (CANNOT_START) when there is no process, INVALID_ARGUMENT
  // (CANNOT_START) when the program or the log file cannot be opened. Call it
  // from a thread that outlives the child: the kernel ties the child to it.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const ChildOptions& options);
  // Kills a child that still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  // The exit status as the shell counts it (128 + signal), once it ended.
  std::optional<int> ExitStatus();

  // SIGTERM, then SIGKILL when it still runs after `grace`; returns once it
  // is gone. Safe to repeat.
  int Stop(absl::Duration grace);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  absl::Mutex mutex_;
  std::optional<int> exit_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::client

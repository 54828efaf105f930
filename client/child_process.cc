#include "client/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"

extern char** environ;

namespace promptd::client {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(10);

absl::Status CannotStart(absl::StatusCode code, const std::string& what,
                         int error) {
  return MakeError(
      code, "CANNOT_START",
      absl::StrCat("cannot start ", what, ": ", std::strerror(error)));
}

std::vector<std::string> Environment(const ChildOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    bool replaced = false;
    for (const auto& [name, value] : options.environment) {
      replaced = replaced || absl::StartsWith(*variable, name + "=");
    }
    if (!replaced) variables.emplace_back(*variable);
  }
  for (const auto& [name, value] : options.environment) {
    variables.push_back(name + "=" + value);
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void RunChild(const char* program, char* const* arguments,
                           char* const* variables, int log, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  // A group of its own: the terminal's Ctrl-C reaches us, and we stop it.
  ::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execve(program, arguments, variables);
  ::_exit(127);
}

int ShellStatus(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const ChildOptions& options) {
  if (::access(options.program.c_str(), X_OK) != 0) {
    return CannotStart(absl::StatusCode::kInvalidArgument, options.program,
                       errno);
  }
  const int log = ::open(options.log_file.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) {
    return CannotStart(absl::StatusCode::kInvalidArgument, options.log_file,
                       errno);
  }
  std::vector<std::string> arguments = {options.program};
  arguments.insert(arguments.end(), options.arguments.begin(),
                   options.arguments.end());
  std::vector<std::string> variables = Environment(options);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(variables);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    RunChild(options.program.c_str(), argv.data(), envp.data(), log, parent);
  }
  const int error = errno;
  ::close(log);
  if (pid < 0) {
    return CannotStart(absl::StatusCode::kInternal, options.program, error);
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() { Stop(absl::ZeroDuration()); }

std::optional<int> ChildProcess::ExitStatus() {
  absl::MutexLock lock(&mutex_);
  if (exit_status_) return exit_status_;
  int status = 0;
  pid_t waited = 0;
  do {
    waited = ::waitpid(pid_, &status, WNOHANG);
  } while (waited < 0 && errno == EINTR);
  if (waited == pid_) exit_status_ = ShellStatus(status);
  return exit_status_;
}

int ChildProcess::Stop(absl::Duration grace) {
  const absl::Time deadline = absl::Now() + grace;
  bool killed = false;
  if (!ExitStatus()) ::kill(pid_, SIGTERM);
  for (;;) {
    if (const std::optional<int> status = ExitStatus()) return *status;
    if (!killed && absl::Now() >= deadline) {
      ::kill(pid_, SIGKILL);
      killed = true;
    }
    absl::SleepFor(kPoll);
  }
}

}  // namespace promptd::client

// The hostile corpus is read in a process that the kernel ends at the first
// attempt to start a program, open a socket or change a file.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "tests/testing/temp_dir.h"
#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"
#include "weights/context_file.h"

namespace promptd::weights {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "add the architecture's seccomp number"
#endif

constexpr int kForbidden[] = {
#ifdef __NR_open
    __NR_creat,          __NR_fork,         __NR_vfork,     __NR_mkdir,
    __NR_rmdir,          __NR_rename,       __NR_link,      __NR_symlink,
    __NR_unlink,         __NR_chmod,        __NR_chown,     __NR_mknod,
#endif
    __NR_execve,         __NR_execveat,     __NR_clone,     __NR_clone3,
    __NR_socket,         __NR_socketpair,   __NR_connect,   __NR_bind,
    __NR_listen,         __NR_sendto,       __NR_sendmsg,   __NR_mkdirat,
    __NR_renameat2,      __NR_linkat,       __NR_symlinkat, __NR_unlinkat,
    __NR_fchmodat,       __NR_fchownat,     __NR_mknodat,   __NR_truncate,
    __NR_ftruncate,      __NR_fallocate,    __NR_openat2,   __NR_pwrite64,
    __NR_writev,         __NR_memfd_create, __NR_ptrace,    __NR_mount,
    __NR_io_uring_setup, __NR_setxattr,     __NR_utimensat};

constexpr uint32_t Argument(int index) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * index;
}

// Ends the process with SIGSYS at a forbidden call; `pipe_fd` alone may be
// written to.
void ForbidSideEffects(int pipe_fd) {
  std::vector<sock_filter> filter;
  const auto load = [&](size_t offset) {
    filter.push_back(
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
  };
  const sock_filter end = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const auto jump = [&](uint16_t test, uint32_t value, uint8_t yes,
                        uint8_t no) {
    filter.push_back(sock_filter{static_cast<uint16_t>(BPF_JMP | test | BPF_K),
                                 yes, no, value});
  };
  load(offsetof(seccomp_data, arch));
  jump(BPF_JEQ, kArchitecture, 1, 0);
  filter.push_back(end);
  load(offsetof(seccomp_data, nr));
  for (const int call : kForbidden) {
    jump(BPF_JEQ, static_cast<uint32_t>(call), 0, 1);
    filter.push_back(end);
  }
  const auto read_only = [&](int call, int flags_argument) {
    jump(BPF_JEQ, static_cast<uint32_t>(call), 0, 4);
    load(Argument(flags_argument));
    jump(BPF_JSET, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1);
    filter.push_back(end);
    filter.push_back(allow);
  };
#ifdef __NR_open
  read_only(__NR_open, 1);
#endif
  read_only(__NR_openat, 2);
  jump(BPF_JEQ, __NR_write, 0, 3);
  load(Argument(0));
  jump(BPF_JEQ, static_cast<uint32_t>(pipe_fd), 1, 0);
  filter.push_back(end);
  filter.push_back(allow);
  sock_fprog program = {static_cast<unsigned short>(filter.size()),
                        filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    ::_exit(3);
  }
}

struct Outcome {
  int status = 0;  // of waitpid
  std::string output;
};

// What `work` gives in such a process.
Outcome Sandboxed(const std::function<std::string()>& work) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    ForbidSideEffects(ends[1]);
    const std::string text = work();
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count =
          ::write(ends[1], text.data() + sent, text.size() - sent);
      if (count <= 0) ::_exit(4);
      sent += static_cast<size_t>(count);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
    outcome.output.append(buffer, static_cast<size_t>(got));
  }
  ::close(ends[0]);
  ::waitpid(child, &outcome.status, 0);
  return outcome;
}

void ExpectEnded(const std::function<void()>& forbidden, const char* what) {
  const Outcome outcome = Sandboxed([&] {
    forbidden();
    return std::string("survived");
  });
  EXPECT_TRUE(WIFSIGNALED(outcome.status)) << what;
  EXPECT_EQ(WTERMSIG(outcome.status), SIGSYS) << what;
  EXPECT_EQ(outcome.output, "") << what;
}

// The sandbox is not the test unless it does bite.
TEST(ImportSandboxTest, EndsWhatHasSideEffects) {
  const ::promptd::testing::TempDir folder;
  const std::string path = folder.path() + "/x";
  ExpectEnded([] { ::execl("/bin/true", "true", nullptr); }, "exec");
  ExpectEnded([] { [[maybe_unused]] auto child = ::fork(); }, "fork");
  ExpectEnded([] { ::socket(AF_INET, SOCK_STREAM, 0); }, "socket");
  ExpectEnded([&] { ::open(path.c_str(), O_WRONLY | O_CREAT, 0600); }, "open");
  ExpectEnded([&] { ::open("/dev/null", O_RDWR); }, "open");
  ExpectEnded([&] { ::unlink(path.c_str()); }, "unlink");
  ExpectEnded([&] { ::mkdir(path.c_str(), 0700); }, "mkdir");
  ExpectEnded([&] { WriteFileAtomically(path, "x").IgnoreError(); }, "file");
  ExpectEnded([] { [[maybe_unused]] auto count = ::write(1, "x", 1); },
              "write");
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Every hostile file, by the reason that it is refused for.
std::map<std::string, std::string> WriteCorpus(const std::string& folder) {
  std::map<std::string, std::string> reasons;
  const auto add = [&](const std::string& kind, const HostileCase& hostile,
                       const std::string& bytes) {
    const std::string path =
        absl::StrCat(folder, "/", kind, "_", hostile.name, ".pt");
    EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
    // What does not even begin like an archive is nobody's file.
    reasons[path] = std::string(hostile.reason) == "ZIP_NOT_AN_ARCHIVE"
                        ? "UNKNOWN_CHECKPOINT"
                        : hostile.reason;
  };
  for (const auto& hostile : HostileArchives()) {
    add("archive", hostile, hostile.bytes);
  }
  for (const auto& hostile : HostilePickles()) {
    add("pickle", hostile, TorchZip(hostile.bytes));
  }
  for (const auto& hostile : HostileTorchFiles()) {
    add("torch", hostile, hostile.bytes);
  }
  for (const char* name : {"system", "eval", "open", "getattr", "torch_load",
                           "module", "set", "complex", "sparse", "quantized"}) {
    reasons[Golden(absl::StrCat("evil/", name, ".pt"))] =
        "PICKLE_FORBIDDEN_GLOBAL";
  }
  reasons[Golden("evil/legacy.pt")] = "TORCH_LEGACY_FORMAT";
  reasons[Golden("evil/tensor.pt")] = "TORCH_NOT_A_STATE_DICT";
  reasons[Golden("evil/double.pt")] = "TORCH_BAD_DTYPE";
  reasons["/dev/null"] = "NOT_A_REGULAR_FILE";
  return reasons;
}

TEST(ImportSandboxTest, TheHostileCorpusHasNoSideEffects) {
  const ::promptd::testing::TempDir folder;
  const auto reasons = WriteCorpus(folder.path());
  EXPECT_GE(reasons.size(), 150u);
  const ImportOptions options = GoldenOptions(Activation::kQuickGelu);
  const Outcome outcome = Sandboxed([&] {
    std::string lines;
    for (const auto& [path, reason] : reasons) {
      const absl::Status status = ReadCheckpoint(path, options).status();
      const bool names = absl::StartsWith(status.message(), path) ||
                         reason == "NOT_A_REGULAR_FILE";
      absl::StrAppend(&lines, path, " ", ErrorReason(status),
                      names ? "" : " without its path", "\n");
    }
    return lines;
  });
  ASSERT_TRUE(WIFEXITED(outcome.status))
      << "ended by signal " << WTERMSIG(outcome.status);
  EXPECT_EQ(WEXITSTATUS(outcome.status), 0);
  std::string expected;
  for (const auto& [path, reason] : reasons) {
    absl::StrAppend(&expected, path, " ", reason, "\n");
  }
  EXPECT_EQ(outcome.output, expected);
  EXPECT_FALSE(std::filesystem::exists("/tmp/promptd-was-here"));
}

TEST(ImportSandboxTest, GoodCheckpointsAreReadInTheSandbox) {
  for (const char* name : {"vit/openai.pt", "vit/hf", "vit/hf_sharded",
                           "rn/training.pt", "rn/open_clip"}) {
    const Outcome outcome = Sandboxed([&] {
      return ReadCheckpoint(Golden(name), GoldenOptions(Activation::kQuickGelu))
          .status()
          .ToString();
    });
    EXPECT_EQ(outcome.output, "OK") << name;
  }
}

// Good ones and hostile ones: no answer needs more than reading.
TEST(ImportSandboxTest, ContextsAreReadInTheSandbox) {
  for (const auto& [name, reason] : std::map<std::string, std::string>{
           {"model.pth.tar-50", ""},
           {"half.pth.tar", ""},
           {"own.pth.tar", ""},
           {"ctx.npz", ""},
           {"half.npz", ""},
           {"ctx.safetensors", ""},
           {"evil/object.npz", "NPY_BAD_DTYPE"},
           {"evil/fortran.npz", "NPY_FORTRAN_ORDER"},
           {"evil/legacy.pth.tar", "TORCH_LEGACY_FORMAT"},
           {"../evil/system.pt", "PICKLE_FORBIDDEN_GLOBAL"},
           {"../evil/eval.pt", "PICKLE_FORBIDDEN_GLOBAL"}}) {
    const std::string path = Golden("context/" + name);
    const Outcome outcome = Sandboxed([&] {
      const absl::Status status = ReadContextFile(path).status();
      return status.ok() ? std::string() : ErrorReason(status);
    });
    ASSERT_TRUE(WIFEXITED(outcome.status)) << name;
    EXPECT_EQ(outcome.output, reason) << name;
  }
}

}  // namespace
}  // namespace promptd::weights

#include "client/child_process.h"

#include <signal.h>

#include "absl/time/clock.h"
#include "client/demo_server.h"
#include "client/temp_folder.h"
#include "common/error.h"
#include "common/file.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::client {
namespace {

ChildOptions Shell(const std::string& script, const std::string& folder) {
  ChildOptions options;
  options.program = "/bin/sh";
  options.arguments = {"-c", script};
  options.log_file = folder + "/log";
  return options;
}

int WaitFor(ChildProcess& child) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (absl::Now() < deadline) {
    if (const auto status = child.ExitStatus()) return *status;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return -1;
}

TEST(ChildProcessTest, ReportsExitStatusLogAndEnvironment) {
  const promptd::testing::TempDir folder;
  ChildOptions options = Shell("echo said $WORD; exit 3", folder.path());
  options.environment = {{"WORD", "hello"}};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(WaitFor(**child), 3);
  EXPECT_EQ(*ReadFile(options.log_file, 100), "said hello\n");
}

TEST(ChildProcessTest, StopIsPoliteFirst) {
  const promptd::testing::TempDir folder;
  auto child = ChildProcess::Start(
      Shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done",
            folder.path()));
  ASSERT_TRUE(child.ok());
  while (ReadFile(folder.path() + "/log", 100).value_or("").empty()) {
    ASSERT_FALSE((*child)->ExitStatus().has_value());
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ((*child)->Stop(absl::Seconds(30)), 7);
  EXPECT_EQ((*child)->Stop(absl::Seconds(30)), 7);
}

TEST(ChildProcessTest, StopKillsWhatDoesNotListen) {
  const promptd::testing::TempDir folder;
  auto child = ChildProcess::Start(
      Shell("trap '' TERM; while :; do sleep 0.01; done", folder.path()));
  ASSERT_TRUE(child.ok());
  const int status = (*child)->Stop(absl::Milliseconds(200));
  EXPECT_TRUE(status == 128 + SIGKILL || status == 128 + SIGTERM) << status;
}

TEST(ChildProcessTest, ItsEndKillsTheChild) {
  const promptd::testing::TempDir folder;
  pid_t pid = 0;
  {
    auto child = ChildProcess::Start(Shell("exec sleep 600", folder.path()));
    ASSERT_TRUE(child.ok());
    pid = (*child)->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ChildProcessTest, AMissingProgramIsAnError) {
  const promptd::testing::TempDir folder;
  ChildOptions options = Shell("", folder.path());
  options.program = folder.path() + "/none";
  EXPECT_EQ(ErrorReason(ChildProcess::Start(options).status()), "CANNOT_START");
}

TEST(DemoServerTest, ReadyFileHoldsBothAddresses) {
  const auto addresses =
      ParseReadyFile("{\"listen\":\"127.0.0.1:1\",\"http\":\"127.0.0.1:2\"}\n");
  ASSERT_TRUE(addresses.ok());
  EXPECT_EQ(addresses->grpc, "127.0.0.1:1");
  EXPECT_EQ(addresses->http, "127.0.0.1:2");
  for (const char* text : {"", "{}", "[]", "{\"listen\":1,\"http\":2}"}) {
    EXPECT_FALSE(ParseReadyFile(text).ok()) << text;
  }
}

TEST(DemoServerTest, AServerThatEndsIsReportedAtOnce) {
  const promptd::testing::TempDir folder;
  const auto server = DemoServer::Start("/bin/false", "models", folder.path(),
                                        absl::Seconds(60));
  EXPECT_EQ(ErrorReason(server.status()), "SERVER_EXITED");
}

TEST(DemoServerTest, TailKeepsTheLastLines) {
  const promptd::testing::TempDir folder;
  const std::string file = folder.path() + "/log";
  ASSERT_TRUE(WriteFileAtomically(file, "a\nb\nc\n").ok());
  EXPECT_EQ(Tail(file, 2), "b\nc");
  EXPECT_EQ(Tail(file, 20), "a\nb\nc");
  EXPECT_EQ(Tail(folder.path() + "/none", 2), "");
}

TEST(TempFolderTest, IsRemovedWithItsContent) {
  std::string path;
  {
    auto folder = TempFolder::Make("promptd-test-");
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    ASSERT_TRUE(WriteFileAtomically(path + "/file", "x").ok());
  }
  EXPECT_EQ(ErrorReason(ReadFile(path + "/file", 10).status()),
            "FILE_NOT_FOUND");
}

TEST(TempFolderTest, AKeptFolderStays) {
  const promptd::testing::TempDir outer;
  const std::string path = outer.path() + "/kept";
  {
    auto folder = TempFolder::Keep(path);
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(WriteFileAtomically(path + "/file", "x").ok());
  }
  EXPECT_EQ(*ReadFile(path + "/file", 10), "x");
}

}  // namespace
}  // namespace promptd::client

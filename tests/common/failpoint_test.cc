#include "common/failpoint.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/testing/scoped_failpoints.h"

namespace promptd {
namespace {

using testing::ScopedFailpoints;

TEST(FailpointTest, WhatIsNotArmedDoesNothing) {
  EXPECT_FALSE(FailpointsArmed());
  EXPECT_EQ(FailpointError("blob.write"), 0);
  EXPECT_TRUE(FailpointStatus("training.step").ok());
  EXPECT_FALSE(FailpointSpoils("blob.bytes"));
  EXPECT_EQ(CountFailpoint("blob.write").passed, 0);
}

TEST(FailpointTest, FiresAtTheNthTimeOrFromItOn) {
  const ScopedFailpoints fail(
      "blob.write=error(ENOSPC)@2; blob.sync=error(EIO)@2+;"
      "training.step=error(UNAVAILABLE)");
  EXPECT_TRUE(FailpointsArmed());
  EXPECT_EQ(FailpointError("blob.write"), 0);
  EXPECT_EQ(FailpointError("blob.write"), ENOSPC);
  EXPECT_EQ(FailpointError("blob.write"), 0);
  EXPECT_EQ(FailpointError("blob.sync"), 0);
  EXPECT_EQ(FailpointError("blob.sync"), EIO);
  EXPECT_EQ(FailpointError("blob.sync"), EIO);
  const absl::Status status = FailpointStatus("training.step");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReason(status), "FAILPOINT");
  EXPECT_EQ(fail.passed("blob.write"), 3);
  EXPECT_EQ(fail.fired("blob.write"), 1);
  // One that is not armed is counted too.
  EXPECT_EQ(FailpointError("blob.rename"), 0);
  EXPECT_EQ(fail.passed("blob.rename"), 1);
}

TEST(FailpointTest, PausesSpoilsAndKills) {
  const ScopedFailpoints fail(
      "job.created=pause(20ms);blob.bytes=spoil;db.commit=kill");
  const absl::Time start = absl::Now();
  FailpointStep("job.created");
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(20));
  std::string bytes = "abc";
  FailpointDamage("blob.bytes", &bytes);
  EXPECT_EQ(bytes, "acc");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    FailpointStep("db.commit");
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST(FailpointTest, ATextThatIsWrongSaysWhatIsWrongAndArmsNothing) {
  struct Case {
    const char* text;
    const char* why;
  };
  for (const Case& bad : {
           Case{"blob.write", "POINT=ACTION"},
           Case{"blob.writ=kill", "did you mean blob.write?"},
           Case{"blob.write=explode", "an action is"},
           Case{"blob.write=error(EWHAT)", "one of EACCES"},
           Case{"blob.write=error(UNAVAILABLE)", "one of EACCES"},
           Case{"training.step=error(EIO)", "UNAVAILABLE"},
           Case{"job.created=error(EIO)", "cannot fail by itself"},
           Case{"job.created=spoil", "could be spoiled"},
           Case{"job.created=pause(5)", "500ms"},
           Case{"job.created=pause(-5s)", "500ms"},
           Case{"job.created=kill@0", "from 1 on"},
           Case{"job.created=kill@x", "from 1 on"},
           Case{"job.created=kill;job.created=kill@2", "twice"},
           Case{"blob.sync=error(EIO);nonsense=kill", "no such point"},
       }) {
    const absl::Status status = ArmFailpoints(bad.text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_EQ(ErrorReason(status), "BAD_FAILPOINTS");
    EXPECT_TRUE(absl::StrContains(status.message(), bad.why)) << status;
    EXPECT_FALSE(FailpointsArmed());
  }
}

TEST(FailpointTest, TheLogIsToldOfEachBeforeItActs) {
  static std::vector<std::string>* told = new std::vector<std::string>;
  SetFailpointLog(
      [](absl::string_view point, absl::string_view action, int64_t hit) {
        told->push_back(std::string(point) + " " + std::string(action) + " " +
                        std::to_string(hit));
      });
  {
    const ScopedFailpoints fail("blob.read=error(EIO)@2");
    FailpointError("blob.read");
    FailpointError("blob.read");
  }
  SetFailpointLog(nullptr);
  EXPECT_EQ(*told, (std::vector<std::string>{"blob.read error(EIO)@2 0",
                                             "blob.read error(EIO)@2 2"}));
}

TEST(FailpointTest, NamesAreInOrderAndOnce) {
  const std::vector<std::string> names = FailpointNames();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_GE(names.size(), 30u);
}

}  // namespace
}  // namespace promptd

#include "client/progress.h"

#include <algorithm>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace promptd::client {
namespace {

using promptd::testing::FakeClock;

class ProgressTest : public ::testing::Test {
 protected:
  std::unique_ptr<Console> MakeConsole(bool tty, bool quiet = false) {
    ConsoleOptions options;
    options.tty = tty;
    options.quiet = quiet;
    return std::make_unique<Console>(out_, err_, options);
  }
  std::ostringstream out_;
  std::ostringstream err_;
  FakeClock clock_;
};

TEST_F(ProgressTest, BarFillsFromEmptyToFull) {
  EXPECT_EQ(Bar(0.0, 4, false), "....");
  EXPECT_EQ(Bar(0.5, 4, false), "##..");
  EXPECT_EQ(Bar(1.0, 4, false), "####");
  EXPECT_EQ(Bar(7.0, 4, false), "####");
  EXPECT_EQ(Bar(-1.0, 4, false), "....");
  EXPECT_EQ(Bar(0.0 / 0.0, 2, false), "..");
  EXPECT_EQ(Bar(0.5, 2, true), "\u2588\u2591");
}

TEST_F(ProgressTest, PlainLinesComeEveryTenthOfTheWay) {
  const auto console = MakeConsole(false);
  Progress progress(*console, clock_);
  for (int i = 0; i <= 100; ++i) {
    progress.Update("upload", i / 100.0, "x");
    clock_.Advance(absl::Seconds(1));
  }
  progress.Finish();
  const std::string text = err_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.substr(0, text.find('\n')), "upload     0%  x");
}

TEST_F(ProgressTest, AQuickStepTakesTwoPlainLines) {
  const auto console = MakeConsole(false);
  Progress progress(*console, clock_);
  for (int i = 0; i <= 100; ++i) progress.Update("upload", i / 100.0, "x");
  EXPECT_EQ(err_.str(), "upload     0%  x\nupload   100%  x\n");
}

TEST_F(ProgressTest, PlainLinesAlsoComeEveryTenSeconds) {
  const auto console = MakeConsole(false);
  Progress progress(*console, clock_);
  progress.Update("job 1", 0.01, "a");
  clock_.Advance(absl::Seconds(9));
  progress.Update("job 1", 0.02, "b");
  clock_.Advance(absl::Seconds(1));
  progress.Update("job 1", 0.03, "c");
  EXPECT_EQ(err_.str(), "job 1      1%  a\njob 1      3%  c\n");
}

TEST_F(ProgressTest, ATerminalRedrawsAtMostTenTimesASecond) {
  const auto console = MakeConsole(true);
  {
    Progress progress(*console, clock_);
    for (int i = 0; i < 50; ++i) {
      progress.Update("upload", i / 100.0, "x");
      clock_.Advance(absl::Milliseconds(20));
    }
  }
  const std::string text = err_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 10);
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(ProgressTest, ABarNeverWrapsTheLine) {
  const auto console = MakeConsole(true);
  Progress progress(*console, clock_);
  progress.Update("upload", 0.5, std::string(500, 'y'));
  EXPECT_LE(err_.str().find("\x1b[K"), 80u);
}

TEST_F(ProgressTest, TheFullBarIsShownOnce) {
  const auto console = MakeConsole(false);
  Progress progress(*console, clock_);
  progress.Update("upload", 0.98, "x");
  progress.Update("upload", 1.0, "y");
  progress.Update("upload", 1.0, "z");
  EXPECT_EQ(err_.str(), "upload    98%  x\nupload   100%  y\n");
}

TEST_F(ProgressTest, QuietSaysNothing) {
  const auto console = MakeConsole(true, true);
  Progress progress(*console, clock_);
  progress.Update("upload", 0.5, "x");
  progress.Finish();
  EXPECT_EQ(err_.str(), "");
}

}  // namespace
}  // namespace promptd::client

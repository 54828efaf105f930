#include "common/log.h"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "spdlog/spdlog.h"

namespace promptd {
namespace {

// What is logged in between, line by line, parsed.
class LogTest : public ::testing::Test {
 protected:
  LogTest() { ::testing::internal::CaptureStderr(); }

  // Once the log has ended.
  std::vector<nlohmann::json> Lines() {
    log_.reset();
    std::istringstream text(::testing::internal::GetCapturedStderr());
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

 private:
  std::optional<Log> log_{std::in_place, "info"};
};

TEST_F(LogTest, AnEventIsOneObject) {
  LogEvent(
      spdlog::level::warn, "rpc",
      {{"method", "Classify"}, {"seconds", 0.5}, {"error", "a \"b\"\n\xff"}});
  LogEvent(spdlog::level::info, "start", nlohmann::json::object());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["event"], "rpc");
  EXPECT_EQ(lines[0]["level"], "warning");
  EXPECT_EQ(lines[0]["method"], "Classify");
  EXPECT_EQ(lines[0]["seconds"], 0.5);
  // What is no UTF-8 is replaced.
  EXPECT_EQ(lines[0]["error"], "a \"b\"\n\xef\xbf\xbd");
  const std::string time = lines[0]["time"];
  EXPECT_EQ(time.size(), 24u);
  EXPECT_EQ(time.back(), 'Z');
  EXPECT_EQ(lines[1]["event"], "start");
  EXPECT_EQ(lines[1].size(), 3u);
}

TEST_F(LogTest, PlainTextBecomesAMessage) {
  spdlog::info("plain \"text\"");
  spdlog::debug("not shown");
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["message"], "plain \"text\"");
  EXPECT_EQ(lines[0]["level"], "info");
}

TEST_F(LogTest, AllLinesOfAllThreadsAreWrittenBeforeItEnds) {
  constexpr int kThreads = 4;
  constexpr int kLines = 2 * Log::kMostWaiting;  // more than may wait
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([thread] {
      for (int line = 0; line < kLines; ++line) {
        LogEvent(spdlog::level::info, "e",
                 {{"thread", thread}, {"line", line}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> next(kThreads, 0);
  for (const nlohmann::json& line : Lines()) {
    EXPECT_EQ(line["line"], next[line["thread"]]++);
  }
  EXPECT_THAT(next, ::testing::Each(kLines));
}

TEST_F(LogTest, WhatIsLoggedNowIsThereWhenAProcessIsKilled) {
  Lines();  // its thread has ended before the process is copied
  EXPECT_EXIT(
      {
        const Log log("info");
        LogEventNow(spdlog::level::warn, "last", {{"point", "p"}});
        ::kill(::getpid(), SIGKILL);
      },
      ::testing::KilledBySignal(SIGKILL), "\"event\":\"last\"");
}

TEST_F(LogTest, WhoLogsDoesNotWaitForWhoReads) {
  Lines();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  const std::string text(1000, 'x');
  constexpr int kLines = 1000;  // a megabyte: a pipe holds 64 KiB
  std::thread reader;
  {
    const Log log("info");
    for (int line = 0; line < kLines; ++line) spdlog::info(text);
    reader = std::thread([&] {
      std::vector<char> buffer(1 << 16);
      while (::read(ends[0], buffer.data(), buffer.size()) > 0) {
      }
    });
  }
  ::dup2(before, STDERR_FILENO);
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  ::close(before);
}

}  // namespace
}  // namespace promptd

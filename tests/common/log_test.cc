#include "common/log.h"

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "spdlog/spdlog.h"

namespace promptd {
namespace {

// What is logged in between, line by line, parsed.
class LogTest : public ::testing::Test {
 protected:
  LogTest() : before_(spdlog::default_logger()) {
    ConfigureLog("info");
    ::testing::internal::CaptureStderr();
  }
  ~LogTest() override { spdlog::set_default_logger(before_); }

  static std::vector<nlohmann::json> Lines() {
    std::istringstream text(::testing::internal::GetCapturedStderr());
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

 private:
  const std::shared_ptr<spdlog::logger> before_;
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

}  // namespace
}  // namespace promptd

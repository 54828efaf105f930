#include "wire/options.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::wire {
namespace {

class WorkerOptionsTest : public ::testing::Test {
 protected:
  WorkerOptionsTest() : token_(dir_.path() + "/token") {
    ::setenv("PROMPTD_MODELS", "/models", 1);
    std::ofstream(token_) << "0123456789abcdef0123456789abcdef";
    ::chmod(token_.c_str(), 0600);
  }
  ~WorkerOptionsTest() override { ::unsetenv("PROMPTD_MODELS"); }

  std::optional<int> Parse(std::vector<std::string> more) {
    std::vector<std::string> all = {"promptd-worker", "--token-file", token_,
                                    "--data-dir", dir_.path()};
    all.insert(all.end(), more.begin(), more.end());
    std::vector<const char*> arguments;
    for (const std::string& one : all) arguments.push_back(one.c_str());
    return ParseWorkerOptions(static_cast<int>(arguments.size()),
                              arguments.data(), &options_);
  }

  testing::TempDir dir_;
  const std::string token_;
  WorkerOptions options_;
};

TEST_F(WorkerOptionsTest, AFrontEndAndATokenAreEnough) {
  ASSERT_EQ(Parse({"--frontend", "127.0.0.1:7083"}), std::nullopt);
  EXPECT_EQ(FormatAddress(options_.frontend), "127.0.0.1:7083");
  EXPECT_EQ(FormatAddress(options_.listen), "127.0.0.1:7082");
  EXPECT_EQ(options_.encoder_dirs,
            std::vector<std::string>{"/models/embedded"});
  EXPECT_TRUE(options_.token.has_value());
  EXPECT_EQ(options_.max_batch, 32);
}

TEST_F(WorkerOptionsTest, MistakesAreExplainedAndEndWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{
           {},
           {"--frontend", "7083"},
           {"--frontend", "10.0.0.1:7083"},
           {"--frontend", "127.0.0.1:1", "--listen", "10.0.0.1:1"},
           {"--frontend", "127.0.0.1:1", "--listen", "0.0.0.0:1",
            "--insecure-allow-remote"},
           {"--frontend", "127.0.0.1:1", "--advertise", "nowhere"},
           {"--frontend", "127.0.0.1:1", "--token-file", "/no/such/file"},
           {"--frontend", "127.0.0.1:1", "--checkpoint-interval", "never"}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(Parse(arguments), 2);
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said, "");
    EXPECT_FALSE(absl::StrContains(said, "0123456789abcdef"));
  }
  ::chmod(token_.c_str(), 0644);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Parse({"--frontend", "127.0.0.1:7083"}), 2);
  EXPECT_TRUE(absl::StrContains(::testing::internal::GetCapturedStderr(),
                                "TOKEN_FILE_EXPOSED"));
}

TEST_F(WorkerOptionsTest, EveryAddressNeedsOneToAdvertise) {
  ASSERT_EQ(Parse({"--frontend", "front:7083", "--listen", "0.0.0.0:7082",
                   "--advertise", "gpu-1:7082", "--insecure-allow-remote"}),
            std::nullopt);
  EXPECT_EQ(options_.advertise, "gpu-1:7082");
}

TEST_F(WorkerOptionsTest, TheDefaultIdIsOne) {
  const std::string id = DefaultWorkerId(7082);
  EXPECT_TRUE(absl::EndsWith(id, "-7082")) << id;
  EXPECT_LE(id.size(), 63u);
}

TEST_F(WorkerOptionsTest, HelpSaysHowToBegin) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Parse({"--help"}), 0);
  const std::string help = ::testing::internal::GetCapturedStdout();
  for (const char* text : {"--frontend", "--token-file", "--blobs-dir",
                           "PROMPTD_WORKER_DEVICE", "SIGTERM"}) {
    EXPECT_TRUE(absl::StrContains(help, text)) << text;
  }
}

}  // namespace
}  // namespace promptd::wire

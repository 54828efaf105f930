#include "server/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "tests/testing/temp_dir.h"

namespace promptd::server {
namespace {

std::optional<int> Parse(std::vector<const char*> arguments,
                         ProgramOptions* options) {
  arguments.insert(arguments.begin(), "promptd");
  return ParseProgramOptions(static_cast<int>(arguments.size()),
                             arguments.data(), options);
}

class OptionsTest : public ::testing::Test {
 protected:
  OptionsTest() { ::setenv("PROMPTD_MODELS", "/models", 1); }
  ~OptionsTest() override {
    for (const char* name :
         {"PROMPTD_MODELS", "PROMPTD_LISTEN", "PROMPTD_DATA_DIR"}) {
      ::unsetenv(name);
    }
  }
  ProgramOptions options_;
};

TEST_F(OptionsTest, DefaultsAreLoopback) {
  ::setenv("HOME", "/home/somebody", 1);
  ASSERT_EQ(Parse({}, &options_), std::nullopt);
  EXPECT_EQ(FormatAddress(options_.listen), "127.0.0.1:7080");
  EXPECT_EQ(FormatAddress(*options_.http), "127.0.0.1:7081");
  EXPECT_EQ(options_.data_dir, "/home/somebody/.local/share/promptd");
  EXPECT_EQ(options_.encoder_dirs,
            std::vector<std::string>{"/models/embedded"});
  EXPECT_EQ(options_.grace, absl::Seconds(10));
  EXPECT_EQ(options_.lease, absl::Seconds(15));
}

TEST_F(OptionsTest, FlagsWinOverTheEnvironment) {
  ::setenv("PROMPTD_LISTEN", "127.0.0.1:1", 1);
  ::setenv("PROMPTD_DATA_DIR", "/env", 1);
  ASSERT_EQ(Parse({"--listen", "[::1]:2", "--http", "", "--encoder", "/a",
                   "--encoder", "/b", "--grace", "1500ms"},
                  &options_),
            std::nullopt);
  EXPECT_EQ(FormatAddress(options_.listen), "[::1]:2");
  EXPECT_EQ(options_.data_dir, "/env");
  EXPECT_FALSE(options_.http.has_value());
  EXPECT_EQ(options_.encoder_dirs, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(options_.grace, absl::Milliseconds(1500));
}

TEST_F(OptionsTest, StorageIsUnboundedAndLocalUnlessAskedOtherwise) {
  ASSERT_EQ(Parse({}, &options_), std::nullopt);
  EXPECT_EQ(options_.max_blob_bytes, 0);
  EXPECT_FALSE(options_.allow_network_file_system);
  EXPECT_EQ(options_.tenant_running_jobs, 0);
  EXPECT_EQ(options_.max_database_cache_bytes, 64 << 20);
  ASSERT_EQ(
      Parse({"--max-blob-bytes", "1000000", "--allow-network-file-system",
             "--tenant-running-jobs", "2", "--database-cache-bytes", "2097152"},
            &options_),
      std::nullopt);
  EXPECT_EQ(options_.max_blob_bytes, 1'000'000);
  EXPECT_TRUE(options_.allow_network_file_system);
  EXPECT_EQ(options_.tenant_running_jobs, 2);
  EXPECT_EQ(options_.max_database_cache_bytes, 2 << 20);
  EXPECT_EQ(Parse({"--database-cache-bytes", "1000"}, &options_), 2);
}

TEST_F(OptionsTest, GarbageIsCollectedEveryHourUnlessAskedOtherwise) {
  ASSERT_EQ(Parse({}, &options_), std::nullopt);
  EXPECT_EQ(options_.gc_interval, absl::Hours(1));
  EXPECT_EQ(options_.feature_retention, absl::Hours(24 * 7));
  ASSERT_EQ(
      Parse({"--gc-interval", "10m", "--feature-retention", "36h"}, &options_),
      std::nullopt);
  EXPECT_EQ(options_.gc_interval, absl::Minutes(10));
  EXPECT_EQ(options_.feature_retention, absl::Hours(36));
  ASSERT_EQ(
      Parse({"--gc-interval", "0", "--feature-retention", "0"}, &options_),
      std::nullopt);
  EXPECT_EQ(options_.gc_interval, absl::ZeroDuration());
  EXPECT_EQ(options_.feature_retention, absl::InfiniteDuration());
  EXPECT_EQ(Parse({"--gc-interval", "often"}, &options_), 2);
  EXPECT_EQ(Parse({"--gc-interval", "-1h"}, &options_), 2);
  EXPECT_EQ(Parse({"--feature-retention", "5m"}, &options_), 2);
}

TEST_F(OptionsTest, PrecisionIsOneOfTwo) {
  ASSERT_EQ(Parse({}, &options_), std::nullopt);
  EXPECT_EQ(options_.precision, Precision::kFloat32);
  EXPECT_EQ(options_.device, "auto");
  ASSERT_EQ(Parse({"--precision", "bfloat16"}, &options_), std::nullopt);
  EXPECT_EQ(options_.precision, Precision::kBFloat16);
  ASSERT_EQ(Parse({"--precision", "float32"}, &options_), std::nullopt);
  EXPECT_EQ(options_.precision, Precision::kFloat32);
  for (const char* wrong : {"float16", "0", "1", ""}) {
    EXPECT_EQ(Parse({"--precision", wrong}, &options_), 2) << wrong;
  }
}

TEST_F(OptionsTest, ImportedEncodersAreLoadedUnlessOthersAreGiven) {
  const testing::TempDir data;
  const std::string encoders = data.path() + "/encoders";
  for (const char* name : {"b", "a", ".import-unfinished"}) {
    std::filesystem::create_directories(encoders + "/" + name);
  }
  ASSERT_EQ(Parse({"--data-dir", data.path().c_str()}, &options_),
            std::nullopt);
  EXPECT_EQ(options_.encoder_dirs,
            (std::vector<std::string>{encoders + "/a", encoders + "/b",
                                      "/models/embedded"}));
  ASSERT_EQ(Parse({"--data-dir", data.path().c_str(), "--encoder", "/mine"},
                  &options_),
            std::nullopt);
  EXPECT_EQ(options_.encoder_dirs, std::vector<std::string>{"/mine"});
}

TEST_F(OptionsTest, ListeningBeyondThisMachineNeedsAnExplicitWord) {
  struct Case {
    const char* host;
    bool loopback;
  };
  for (const Case& c :
       {Case{"127.0.0.1", true}, Case{"127.9.9.9", true}, Case{"[::1]", true},
        Case{"localhost", true}, Case{"0.0.0.0", false}, Case{"[::]", false},
        Case{"10.0.0.1", false}, Case{"example.com", false}}) {
    const std::string address = std::string(c.host) + ":7000";
    for (const char* flag : {"--listen", "--http"}) {
      const auto refused = Parse({flag, address.c_str()}, &options_);
      EXPECT_EQ(refused, c.loopback ? std::nullopt : std::optional<int>(2))
          << flag << " " << address;
      EXPECT_EQ(
          Parse({flag, address.c_str(), "--insecure-allow-remote"}, &options_),
          std::nullopt)
          << flag << " " << address;
    }
  }
}

TEST_F(OptionsTest, WorkersElsewhereNeedAPortAndASecret) {
  const testing::TempDir dir;
  const std::string token = dir.path() + "/token";
  std::ofstream(token) << "0123456789abcdef0123456789abcdef";
  ::chmod(token.c_str(), 0600);
  ASSERT_EQ(Parse({"--worker-listen", "127.0.0.1:7083", "--worker-token-file",
                   token.c_str()},
                  &options_),
            std::nullopt);
  EXPECT_EQ(FormatAddress(*options_.worker_listen), "127.0.0.1:7083");
  EXPECT_TRUE(options_.local_worker);
  EXPECT_FALSE(options_.encoder_dirs.empty());
  ASSERT_EQ(Parse({"--worker-listen", "127.0.0.1:7083", "--worker-token-file",
                   token.c_str(), "--no-local-worker"},
                  &options_),
            std::nullopt);
  EXPECT_FALSE(options_.local_worker);
  EXPECT_TRUE(options_.encoder_dirs.empty());
  for (const std::vector<const char*>& arguments :
       std::vector<std::vector<const char*>>{
           {"--no-local-worker"},
           {"--worker-listen", "127.0.0.1:7083"},
           {"--worker-listen", "10.0.0.1:7083", "--worker-token-file",
            token.c_str()},
           {"--worker-listen", "127.0.0.1:7083", "--worker-token-file",
            "/no/such/file"}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(Parse(arguments, &options_), 2) << arguments.back();
    EXPECT_NE(::testing::internal::GetCapturedStderr(), "");
  }
}

TEST_F(OptionsTest, MistakesAreExplainedAndEndWithTwo) {
  for (const std::vector<const char*>& arguments :
       std::vector<std::vector<const char*>>{{"--listen", "7080"},
                                             {"--listen", "127.0.0.1:70800"},
                                             {"--listen", ":7080"},
                                             {"--grace", "soon"},
                                             {"--lease", "1s"},
                                             {"--threads", "-1"},
                                             {"--embedding-cache-bytes", "-1"},
                                             {"--log-level", "loud"},
                                             {"--no-such-flag"}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(Parse(arguments, &options_), 2) << arguments[0];
    EXPECT_NE(::testing::internal::GetCapturedStderr(), "") << arguments[0];
  }
}

TEST_F(OptionsTest, HelpAndVersionEndWithZero) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Parse({"--help"}, &options_), 0);
  const std::string help = ::testing::internal::GetCapturedStdout();
  for (const char* text : {"--data-dir", "PROMPTD_LISTEN", "10 MiB",
                           "64 images a call", "SIGTERM"}) {
    EXPECT_TRUE(absl::StrContains(help, text)) << text;
  }
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Parse({"--version"}, &options_), 0);
  EXPECT_TRUE(
      absl::StartsWith(::testing::internal::GetCapturedStdout(), "promptd "));
}

}  // namespace
}  // namespace promptd::server

#include "wire/worker_token.h"

#include <sys/stat.h>

#include <fstream>

#include "absl/strings/match.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::wire {
namespace {

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

class WorkerTokenTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = dir_.path() + "/token";
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  testing::TempDir dir_;
};

TEST_F(WorkerTokenTest, IsTheTextOfAFileThatOthersCannotRead) {
  const auto token =
      WorkerToken::FromFile(Write(std::string(kSecret) + "\n", 0640));
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->header(), std::string("Bearer ") + kSecret);
}

TEST_F(WorkerTokenTest, AFileThatEverybodyReadsIsRefused) {
  for (const mode_t mode : {0644, 0602, 0604}) {
    const auto token = WorkerToken::FromFile(Write(kSecret, mode));
    EXPECT_EQ(ErrorReason(token.status()), "TOKEN_FILE_EXPOSED") << mode;
    EXPECT_FALSE(absl::StrContains(token.status().message(), kSecret));
  }
}

TEST_F(WorkerTokenTest, ShortOrStrangeTextIsRefusedAndNotShown) {
  for (const std::string& text :
       {std::string(), std::string("short"), std::string(kSecret) + " two",
        std::string(kSecret) + "\xc3\xa9"}) {
    const auto token = WorkerToken::FromFile(Write(text, 0600));
    EXPECT_EQ(ErrorReason(token.status()), "BAD_TOKEN") << text;
    if (!text.empty()) {
      EXPECT_FALSE(absl::StrContains(token.status().message(), text));
    }
  }
  EXPECT_EQ(ErrorReason(WorkerToken::FromFile(dir_.path() + "/no").status()),
            "FILE_NOT_FOUND");
}

TEST_F(WorkerTokenTest, OnlyTheSameHeaderMatches) {
  const auto token = WorkerToken::FromText(kSecret);
  EXPECT_TRUE(token->Matches(token->header()));
  for (const std::string& other :
       {std::string(), std::string(kSecret), token->header() + "x",
        token->header().substr(0, token->header().size() - 1),
        "bearer " + std::string(kSecret)}) {
    EXPECT_FALSE(token->Matches(other)) << other;
  }
}

}  // namespace
}  // namespace promptd::wire

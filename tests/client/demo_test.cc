#include "client/demo.h"

#include <stdlib.h>

#include <filesystem>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/bundle.h"
#include "client/demo_steps.h"
#include "common/error.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A models folder with one task and one benchmark target, which has no training
// images; named in the environment.
class DemoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* split : {"pets/train", "pets/test", "sketches/test"}) {
      std::filesystem::create_directories(
          absl::StrCat(folder_.path(), "/tasks/", split));
    }
    ASSERT_TRUE(
        WriteFileAtomically(folder_.path() + "/tasks/DEFAULT", "pets\n").ok());
    ::setenv("PROMPTD_MODELS", folder_.path().c_str(), 1);
  }
  void TearDown() override { ::unsetenv("PROMPTD_MODELS"); }

  promptd::testing::TempDir folder_;
};

TEST(DemoScoreTest, TheLastLineIsExact) {
  EXPECT_EQ(DemoOkLine({0.612, 0.798, absl::Seconds(12.34)}),
            "demo: OK zero-shot 61.2% learned 79.8% (+18.6) job 12.3s");
}

TEST(DemoScoreTest, MeanAndStandardErrorOverSeeds) {
  const std::vector<DemoScore> scores = {{0.5, 0.6, absl::Seconds(1)},
                                         {0.5, 0.7, absl::Seconds(2)},
                                         {0.5, 0.8, absl::Seconds(3)}};
  const DemoScore mean = MeanScore(scores);
  EXPECT_NEAR(mean.learned, 0.7, 1e-12);
  EXPECT_NEAR(mean.zero_shot, 0.5, 1e-12);
  EXPECT_NEAR(absl::ToDoubleSeconds(mean.job_time), 2.0, 1e-6);
  EXPECT_NEAR(GainStandardError(scores), 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_EQ(GainStandardError({scores[0]}), 0.0);
}

TEST_F(DemoTest, FindsTheDefaultTaskAndListsTheOthers) {
  const auto models = FindModels();
  ASSERT_TRUE(models.ok());
  EXPECT_EQ(*models, folder_.path());
  const auto task = FindBundledTask(*models, "");
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->name, "pets");
  EXPECT_EQ(task->folder, folder_.path() + "/tasks/pets");
  const auto none = FindBundledTask(*models, "cars");
  EXPECT_EQ(ErrorReason(none.status()), "TASK_NOT_BUNDLED");
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("pets"));
  EXPECT_THAT(std::string(none.status().message()), Not(HasSubstr("sketches")));
}

TEST_F(DemoTest, KnowsWhatIsBundled) {
  EXPECT_TRUE(IsBundledTask("pets"));
  EXPECT_FALSE(IsBundledTask("DEFAULT"));
  EXPECT_FALSE(IsBundledTask("sketches"));
  EXPECT_TRUE(IsBundledFolder(folder_.path() + "/tasks/pets"));
  EXPECT_FALSE(IsBundledFolder(folder_.path()));
  EXPECT_FALSE(IsBundledFolder("/nowhere"));
}

TEST_F(DemoTest, AServerThatFailsEndsInOneFailedLineAndTheLog) {
  const std::string program = folder_.path() + "/promptd";
  ASSERT_TRUE(
      WriteFileAtomically(program, "#!/bin/sh\necho no encoder here\nexit 9\n")
          .ok());
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  std::ostringstream out;
  std::ostringstream err;
  Console console(out, err, {});
  DemoOptions options;
  options.promptd = program;
  const absl::Status status = RunDemo(console, *Clock::Real(), options);
  EXPECT_EQ(ErrorReason(status), "SERVER_EXITED");
  EXPECT_EQ(out.str(),
            "demo: FAILED promptd ended with status 9 before it was ready\n");
  EXPECT_THAT(err.str(), HasSubstr("no encoder here"));
}

TEST_F(DemoTest, AMissingServerIsExplained) {
  std::ostringstream out;
  std::ostringstream err;
  Console console(out, err, {});
  DemoOptions options;
  options.promptd = folder_.path() + "/none";
  const absl::Status status = RunDemo(console, *Clock::Real(), options);
  EXPECT_EQ(ErrorReason(status), "SERVER_NOT_FOUND");
  EXPECT_THAT(out.str(), StartsWith("demo: FAILED "));
}

}  // namespace
}  // namespace promptd::client

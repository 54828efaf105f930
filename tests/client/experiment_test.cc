// promptctl experiment: what needs no jobs; the driver's tests are in
// experiment_run_test.cc.
#include <filesystem>

#include "common/file.h"
#include "gmock/gmock.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExperimentTest : public CliFixture {
 protected:
  ExperimentTest() {
    EXPECT_TRUE(WriteFileAtomically(Path("bench.json"), R"({
      "tasks": [{"name": "food", "dataset": "food", "template": "a {}."},
                {"name": "pets", "dataset": "pets", "template": "a {}."}],
      "encoders": [{"name": "embedded"}, {"name": "vit-b-32"}]})")
                    .ok());
  }
};

TEST_F(ExperimentTest, ListsWhatThereIs) {
  nowhere_ = true;
  ASSERT_EQ(Cli({"experiment", "list"}), 0) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("few-shot"), HasSubstr("initialization")));
  ASSERT_EQ(Cli({"-o", "json", "experiment", "list"}), 0) << err_;
  EXPECT_EQ(Json().size(), 7u);
}

TEST_F(ExperimentTest, ADryRunNeedsNoServer) {
  nowhere_ = true;
  ASSERT_EQ(
      Cli({"experiment", "run", "few-shot", "--benchmark", Path("bench.json"),
           "--dry-run", "--shots", "1,2", "--seeds", "5"}),
      0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("CoOp (M=16)"));
  EXPECT_THAT(err_, HasSubstr("10 members, 10 jobs"));
  ASSERT_EQ(Cli({"-o", "json", "experiment", "run", "backbones", "--benchmark",
                 Path("bench.json"), "--dry-run", "--tasks", "food"}),
            0);
  EXPECT_EQ(Json()["jobs"], 2 * (2 + 3));
}

TEST_F(ExperimentTest, WhatTheServerLacksIsSaidAtOnce) {
  EXPECT_NE(Cli({"experiment", "run", "backbones", "--benchmark",
                 Path("bench.json"), "--out", Path("out")}),
            0);
  EXPECT_THAT(err_, AllOf(HasSubstr("BAD_BENCHMARK"), HasSubstr("encoders[1]"),
                          HasSubstr("promptctl encoder import"),
                          HasSubstr("vit-b-32"), HasSubstr("tasks[0].dataset"),
                          HasSubstr("promptctl dataset import"),
                          HasSubstr("bench.json")));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(ExperimentTest, NamesAndOptionsAreChecked) {
  EXPECT_NE(Cli({"experiment", "run", "few-shto", "--benchmark",
                 Path("bench.json"), "--dry-run"}),
            0);
  EXPECT_THAT(err_, HasSubstr("few-shot"));
  EXPECT_NE(Cli({"experiment", "run", "few-shot", "--benchmark",
                 Path("bench.json"), "--dry-run", "--tasks", "cars"}),
            0);
  EXPECT_THAT(err_, HasSubstr("\"cars\" is not among food, pets"));
  EXPECT_EQ(Cli({"experiment", "run", "few-shot", "--minutes", "-1"}), 2);
}

TEST_F(ExperimentTest, AReportNeedsResults) {
  nowhere_ = true;
  EXPECT_EQ(Cli({"experiment", "report", "few-shot", "--out", Path("none")}),
            3);
  EXPECT_THAT(err_, HasSubstr("promptctl experiment run"));
  std::filesystem::create_directories(Path("some"));
  ASSERT_TRUE(WriteFileAtomically(Path("some/plan.json"), R"({
      "experiment": "few-shot", "datasets": [], "encoders": ["e"],
      "methods": [{"key": "m", "label": "M"}], "shots": [1], "members": []})")
                  .ok());
  EXPECT_EQ(Cli({"experiment", "report", "few-shot", "--out", Path("some")}), 0)
      << err_;
  EXPECT_TRUE(std::filesystem::exists(Path("some/tables.md")));
  EXPECT_NE(Cli({"experiment", "report", "backbones", "--out", Path("some")}),
            0);
  EXPECT_THAT(err_, HasSubstr("holds the results of few-shot"));
}

}  // namespace
}  // namespace promptd::client

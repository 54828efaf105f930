#include "experiments/benchmark.h"

#include <cstdlib>
#include <filesystem>

#include "common/error.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"
#include "tests/testing/temp_dir.h"

namespace promptd::experiments {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BenchmarkTest : public ::testing::Test {
 protected:
  absl::StatusOr<Benchmark> Read(const std::string& text) {
    const std::string file = folder_.path() + "/benchmark.json";
    EXPECT_TRUE(WriteFileAtomically(file, text).ok());
    return ReadBenchmark(file);
  }
  void MakeFolder(const std::string& name) {
    std::filesystem::create_directories(folder_.path() + "/" + name);
  }

  promptd::testing::TempDir folder_;
};

TEST_F(BenchmarkTest, ReadsTasksDomainsAndEncoders) {
  MakeFolder("tasks/food");
  const auto benchmark = Read(R"({
    "tasks": [{"name": "food", "folder": "tasks/food",
               "template": "a {}, a food.", "unseen_classes": ["melon"]},
              {"name": "pets", "dataset": "oxford-pets",
               "template": "a {}."}],
    "variant_tasks": ["pets"],
    "domain_generalization": {
      "source": {"name": "inside", "dataset": "inside", "template": "{}"},
      "targets": [{"name": "outside", "dataset": "outside",
                   "unseen_style": true}]},
    "encoders": [{"name": "embedded", "folder": "embedded"},
                 {"name": "vit-b-32"}]})");
  ASSERT_TRUE(benchmark.ok()) << benchmark.status();
  ASSERT_EQ(benchmark->tasks.size(), 2u);
  EXPECT_EQ(benchmark->tasks[0].folder, folder_.path() + "/tasks/food");
  EXPECT_THAT(benchmark->tasks[0].unseen_classes, ElementsAre("melon"));
  EXPECT_EQ(benchmark->tasks[1].dataset, "oxford-pets");
  EXPECT_EQ(benchmark->tasks[1].folder, "");
  EXPECT_THAT(benchmark->variant_tasks, ElementsAre("pets"));
  ASSERT_TRUE(benchmark->source.has_value());
  EXPECT_EQ(benchmark->source->template_text, "{}");
  EXPECT_TRUE(benchmark->targets[0].unseen_style);
  EXPECT_EQ(benchmark->encoders[1].name, "vit-b-32");
  EXPECT_EQ(benchmark->Find("outside"), &benchmark->targets[0]);
  EXPECT_EQ(benchmark->Find("nothing"), nullptr);
}

// promptd's own, and the paper's datasets for those who have them.
TEST_F(BenchmarkTest, TheBundledOnesAreRead) {
  const std::string models =
      std::string(std::getenv("PROMPTD_SOURCE_DIR")) + "/models/";
  const auto embedded = ReadBenchmark(models + "benchmark.json");
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  EXPECT_EQ(embedded->tasks.size(), 11u);
  EXPECT_EQ(embedded->targets.size(), 5u);
  EXPECT_EQ(embedded->encoders.size(), 3u);
  const auto paper = ReadBenchmark(models + "paper.json");
  ASSERT_TRUE(paper.ok()) << paper.status();
  EXPECT_EQ(paper->tasks.size(), 11u);
  EXPECT_EQ(paper->targets.size(), 4u);
  for (const BenchmarkDataset& task : paper->tasks) {
    EXPECT_TRUE(task.folder.empty()) << task.name;
  }
}

TEST_F(BenchmarkTest, NamesFileAndEveryWrongField) {
  const auto benchmark = Read(R"({
    "tasks": [{"name": "Food", "folder": "tasks/none", "template": "a photo"},
              {"name": "pets", "dataset": "pets", "folder": 3,
               "template": "{} and {}", "colour": "red"},
              {"name": "pets", "template": "{}"}],
    "variant_tasks": ["cars"],
    "domain_generalization": {"targets": []},
    "encoders": [{"name": "x"}, {"name": "x"}]})");
  ASSERT_FALSE(benchmark.ok());
  EXPECT_EQ(ErrorReason(benchmark.status()), "BAD_BENCHMARK");
  EXPECT_THAT(std::string(benchmark.status().message()),
              HasSubstr(folder_.path() + "/benchmark.json"));
  std::vector<std::string> fields;
  for (const auto& problem : ErrorFields(benchmark.status())) {
    fields.push_back(problem.field);
  }
  EXPECT_THAT(
      fields,
      ElementsAre("tasks[0].name", "tasks[0].folder", "tasks[0].template",
                  "tasks[1].colour", "tasks[1].folder", "tasks[1].template",
                  "tasks[2]", "domain_generalization.source", "tasks[2].name",
                  "variant_tasks[0]", "encoders[1].name"));
}

TEST_F(BenchmarkTest, RefusesWhatIsNoBenchmark) {
  EXPECT_THAT(std::string(Read("{").status().message()),
              HasSubstr("benchmark.json is not JSON"));
  EXPECT_EQ(ErrorReason(Read("[]").status()), "BAD_BENCHMARK");
  EXPECT_EQ(ErrorReason(Read("{}").status()), "BAD_BENCHMARK");
  EXPECT_EQ(ErrorReason(ReadBenchmark("/nowhere/b.json").status()),
            "FILE_NOT_FOUND");
}

TEST_F(BenchmarkTest, ClassesOfTargetsAndUnseenOnesMustBeThere) {
  const Benchmark benchmark = SyntheticBenchmark();
  EXPECT_TRUE(
      CheckClasses(benchmark,
                   {{"s", {"x", "y"}}, {"s1", {"y"}}, {"b", {"x", "y"}}})
          .ok());
  const absl::Status status = CheckClasses(
      benchmark, {{"s", {"x"}}, {"s1", {"x", "owl"}}, {"b", {"x"}}});
  EXPECT_EQ(ErrorReason(status), "BAD_BENCHMARK");
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("synthetic.json"), HasSubstr("\"owl\""),
            HasSubstr("field of s1"), HasSubstr("field of b.unseen_classes"),
            HasSubstr("\"b\" has no class \"y\"")));
}

}  // namespace
}  // namespace promptd::experiments

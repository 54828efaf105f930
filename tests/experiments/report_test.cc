#include "experiments/report.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "absl/strings/str_split.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"
#include "tests/testing/temp_dir.h"

namespace promptd::experiments {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// Cells of a line; quoted ones whole.
std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

TEST(ReportTest, CsvHasOneRowAMemberAndDataset) {
  const Study study = SyntheticStudy("domain-generalization");
  const std::vector<std::string> lines =
      absl::StrSplit(ResultsCsv(study), '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 1 + 26u * 3);
  const std::vector<std::string> names = Cells(lines[0]);
  std::set<std::string> scored;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = Cells(lines[i]);
    ASSERT_EQ(cells.size(), names.size()) << lines[i];
    scored.insert(cells[3]);
  }
  EXPECT_EQ(scored, (std::set<std::string>{"s", "s1", "s2"}));
  EXPECT_EQ(names[10], "accuracy");
  EXPECT_EQ(Cells(lines[1])[10], "0.500000");
  EXPECT_EQ(Cells(lines[1])[20], "a {}, it seems.");
}

TEST(ReportTest, FilesAreMadeAndOldFiguresGo) {
  promptd::testing::TempDir dir;
  ResultFolder folder(dir.path());
  const Study study = SyntheticStudy("few-shot");
  std::map<std::string, std::string> prints;
  for (const auto& [key, result] : study.results()) {
    prints[key] = result.fingerprint;
  }
  ASSERT_TRUE(folder.WritePlan(study.plan(), prints).ok());
  for (const auto& [key, result] : study.results()) {
    ASSERT_TRUE(folder.Write(result).ok());
  }
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/few-shot-gone.svg", "x").ok());
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/notes.svg", "x").ok());

  const auto read = ReadStudy(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  const auto files = WriteReport(*read, folder);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, Contains("few-shot.png"));
  EXPECT_THAT(*files, Contains("results.csv"));
  for (const std::string& file : *files) {
    EXPECT_GT(std::filesystem::file_size(dir.path() + "/" + file), 100u);
  }
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/few-shot-gone.svg"));
  EXPECT_TRUE(std::filesystem::exists(dir.path() + "/notes.svg"));
  const auto json =
      nlohmann::json::parse(*ReadFile(dir.path() + "/results.json", 1 << 26));
  EXPECT_EQ(json["results"].size(), study.plan().members.size());
  EXPECT_EQ(json["plan"]["experiment"], "few-shot");
  EXPECT_THAT(*ReadFile(dir.path() + "/tables.md", 1 << 20),
              HasSubstr("![few-shot.svg](few-shot.svg)"));
  // What was read and what was written are the same study.
  EXPECT_EQ(ResultsCsv(*read), ResultsCsv(study));
}

}  // namespace
}  // namespace promptd::experiments

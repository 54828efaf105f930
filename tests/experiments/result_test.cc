#include "experiments/result.h"

#include "common/error.h"
#include "common/file.h"
#include "experiments/estimate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"
#include "tests/testing/temp_dir.h"

namespace promptd::experiments {
namespace {

using ::testing::HasSubstr;

class ResultTest : public ::testing::Test {
 protected:
  ResultTest() : plan_(SyntheticStudy("domain-generalization").plan()) {
    results_ = SyntheticResults(plan_);
    for (const auto& [key, result] : results_)
      prints_[key] = result.fingerprint;
  }

  promptd::testing::TempDir dir_;
  Plan plan_;
  std::map<std::string, MemberResult> results_;
  std::map<std::string, std::string> prints_;
};

TEST_F(ResultTest, AFolderGivesBackWhatWasPutInIt) {
  ResultFolder folder(dir_.path() + "/some/where");
  ASSERT_TRUE(folder.WritePlan(plan_, prints_).ok());
  const auto stored = folder.ReadPlan();
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(ToJson(stored->plan), ToJson(plan_));
  EXPECT_EQ(stored->fingerprints, prints_);

  MemberResult& failed = results_.begin()->second;
  failed.scores[1].reason = "IMAGE_TRUNCATED";
  failed.scores[1].message = "an image ends early";
  for (const auto& [key, result] : results_) {
    ASSERT_TRUE(folder.Write(result).ok());
  }
  int64_t others = -1;
  const auto read = folder.Read(prints_, &others);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(others, 0);
  ASSERT_EQ(read->size(), results_.size());
  for (const auto& [key, result] : results_) {
    EXPECT_EQ(ToJson(read->at(key)), ToJson(result));
  }
  EXPECT_EQ(read->begin()->second.Failure(),
            "IMAGE_TRUNCATED: an image ends early");
  // Zeros are written out: whoever reads the JSON needs no .proto.
  EXPECT_TRUE(
      ToJson(failed)["scores"][0]["result"].contains("zero_shot_macro_f1"));
}

TEST_F(ResultTest, ResultsOfOtherQuestionsAreLeftAlone) {
  ResultFolder folder(dir_.path());
  ASSERT_TRUE(folder.WritePlan(plan_, prints_).ok());
  MemberResult stale = results_.begin()->second;
  stale.fingerprint = "of other images";
  ASSERT_TRUE(folder.Write(stale).ok());
  int64_t others = 0;
  EXPECT_TRUE(folder.Read(prints_, &others)->empty());
  EXPECT_EQ(others, 1);
}

TEST_F(ResultTest, DamageIsAnErrorThatNamesTheFile) {
  ResultFolder folder(dir_.path());
  EXPECT_EQ(ErrorReason(folder.ReadPlan().status()), "NO_RESULTS");
  ASSERT_TRUE(folder.WritePlan(plan_, prints_).ok());
  const std::string key = results_.begin()->first;
  const std::string file = dir_.path() + "/members/" + key + ".json";
  int64_t others = 0;
  for (const char* text : {"{", "{}", "[1]", R"({"key": 3})"}) {
    ASSERT_TRUE(WriteFileAtomically(file, text).ok());
    const auto read = folder.Read(prints_, &others);
    EXPECT_EQ(ErrorReason(read.status()), "BAD_RESULT_FILE") << text;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(file));
  }
  ASSERT_TRUE(WriteFileAtomically(dir_.path() + "/plan.json", "{}").ok());
  EXPECT_EQ(ErrorReason(folder.ReadPlan().status()), "BAD_RESULT_FILE");
}

TEST_F(ResultTest, TheRestIsEstimatedFromWhatIsAlike) {
  EXPECT_FALSE(EstimateLeft(plan_, {}).has_value());
  EXPECT_EQ(*EstimateLeft(plan_, results_), absl::ZeroDuration());
  // Members took 2 + 1 + 1 s; one CoOp of "small" is slower and another of
  // its kind is missing: it counts as the mean of the two that are there.
  const std::string kind = "s+small+coop-m16-end+shots-16+seed-";
  results_.at(kind + "1").scores[0].seconds = 10;
  results_.erase(kind + "3");
  EXPECT_EQ(*EstimateLeft(plan_, results_), absl::Seconds((12 + 4) / 2));
  // Nothing like it: the mean of its method on the other encoder.
  results_.erase(kind + "1");
  results_.erase(kind + "2");
  EXPECT_EQ(*EstimateLeft(plan_, results_), absl::Seconds(3 * 4));
}

}  // namespace
}  // namespace promptd::experiments

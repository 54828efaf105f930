#include "experiments/study.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"

namespace promptd::experiments {
namespace {

constexpr double kClose = 1e-12;

TEST(StudyTest, MeasuresOfOneEvaluation) {
  const v1::Evaluation evaluation = SyntheticEvaluation(0.6, 0.4);
  const auto of = [&](Measure measure) {
    return Measured(evaluation, {"y"}, measure).value();
  };
  EXPECT_NEAR(of(Measure::kAccuracy), 0.6, kClose);
  EXPECT_NEAR(of(Measure::kBaseline), 0.4, kClose);
  EXPECT_NEAR(of(Measure::kGain), 0.2, kClose);
  EXPECT_NEAR(of(Measure::kEce), 0.05, kClose);
  // x: 0.7 over 0.45, y: 0.5 over 0.35.
  EXPECT_NEAR(of(Measure::kSeenAccuracy), 0.7, kClose);
  EXPECT_NEAR(of(Measure::kSeenGain), 0.25, kClose);
  EXPECT_NEAR(of(Measure::kUnseenAccuracy), 0.5, kClose);
  EXPECT_NEAR(of(Measure::kUnseenGain), 0.15, kClose);
  EXPECT_FALSE(Measured(evaluation, {}, Measure::kUnseenGain).has_value());
  EXPECT_FALSE(
      Measured(evaluation, {"x", "y"}, Measure::kSeenAccuracy).has_value());
}

TEST(StudyTest, ClassesWithoutImagesCountForNothing) {
  v1::Evaluation evaluation = SyntheticEvaluation(0.6, 0.4);
  evaluation.mutable_classes(0)->set_images(0);
  EXPECT_FALSE(Measured(evaluation, {"y"}, Measure::kSeenAccuracy).has_value());
}

TEST(StudyTest, MeanAndPopulationDeviationOverSeeds) {
  const Study study = SyntheticStudy("few-shot");
  const auto cell =
      study.Of({"a", "small", "coop-m16-end", "", 4}, Measure::kAccuracy);
  ASSERT_TRUE(cell.has_value());
  // 0.5 + 0.1 + 0.02 * 2 + {0.01, 0.02, 0.03}
  EXPECT_NEAR(cell->mean, 0.66, kClose);
  EXPECT_NEAR(cell->deviation, 0.01 * std::sqrt(2.0 / 3), kClose);
  EXPECT_EQ(cell->seeds, 3);
  EXPECT_EQ(cell->planned, 3);
  const auto zero =
      study.Of({"a", "small", "zero-shot", "", {}}, Measure::kAccuracy);
  EXPECT_NEAR(zero->mean, 0.5, kClose);
  EXPECT_EQ(zero->deviation, 0);
  EXPECT_FALSE(
      study.Of({"a", "large", "zero-shot", "", {}}, Measure::kAccuracy));
}

TEST(StudyTest, AnAverageVariesAsItsMeanDoes) {
  const Study whole = SyntheticStudy("few-shot");
  Plan plan = whole.plan();
  auto results = SyntheticResults(plan);
  const auto set = [&](const std::string& dataset, int seed, double accuracy) {
    results
        .at(dataset + "+small+coop-m16-end+shots-16+seed-" +
            std::to_string(seed))
        .scores[0]
        .result.set_accuracy(accuracy);
  };
  // What one dataset gains with a seed the other loses.
  set("a", 1, 0.5), set("a", 2, 0.6), set("a", 3, 0.7);
  set("b", 1, 0.9), set("b", 2, 0.8), set("b", 3, 0.7);
  const std::vector<Slice> slices = {{"a", "small", "coop-m16-end", "", 16},
                                     {"b", "small", "coop-m16-end", "", 16}};
  const auto both = Study(plan, results).Average(slices, Measure::kAccuracy);
  EXPECT_NEAR(both->mean, 0.7, kClose);
  EXPECT_NEAR(both->deviation, 0, kClose);

  // A seed that one of them lacks is no seed of the average.
  results.erase("b+small+coop-m16-end+shots-16+seed-3");
  const auto fewer = Study(plan, results).Average(slices, Measure::kAccuracy);
  EXPECT_NEAR(fewer->mean, (0.6 + 0.85) / 2, kClose);
  EXPECT_EQ(fewer->seeds, 2);
  EXPECT_EQ(fewer->planned, 3);

  // Nor is there an average over fewer datasets.
  results.erase("b+small+coop-m16-end+shots-16+seed-1");
  results.erase("b+small+coop-m16-end+shots-16+seed-2");
  EXPECT_FALSE(
      Study(plan, results).Average(slices, Measure::kAccuracy).has_value());
}

TEST(StudyTest, TargetsAreScoresOfTheMembersThatLearnedOnTheSource) {
  const Study study = SyntheticStudy("domain-generalization");
  const Slice own = {"s", "large", "coop-m4-end", "", {}};
  Slice target = own;
  target.scored = "s2";
  EXPECT_NEAR(study.Of(own, Measure::kAccuracy)->mean, 0.70, kClose);
  EXPECT_NEAR(study.Of(target, Measure::kAccuracy)->mean, 0.60, kClose);
}

TEST(StudyTest, FailedScoresAreNoResults) {
  const Study whole = SyntheticStudy("domain-generalization");
  auto results = SyntheticResults(whole.plan());
  const std::string key = "s+small+coop-m4-end+shots-16+seed-1";
  results.at(key).scores[2].reason = "DATASET_NOT_FOUND";
  results.erase("s+small+zero-shot");
  const Study study(whole.plan(), results);
  ASSERT_EQ(study.Failed().size(), 1u);
  EXPECT_EQ(study.Failed()[0]->key, key);
  ASSERT_EQ(study.Missing().size(), 1u);
  EXPECT_EQ(study.Missing()[0]->key, "s+small+zero-shot");
  const Slice slice = {"s", "small", "coop-m4-end", "s2", {}};
  EXPECT_EQ(study.Of(slice, Measure::kAccuracy)->seeds, 2);
  EXPECT_EQ(
      study.Of({"s", "small", "coop-m4-end", "s1", {}}, Measure::kAccuracy)
          ->seeds,
      3);
}

}  // namespace
}  // namespace promptd::experiments

#include "experiments/plots.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"

namespace promptd::experiments {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> NamesOf(const std::vector<NamedFigure>& figures) {
  std::vector<std::string> names;
  for (const NamedFigure& figure : figures) names.push_back(figure.name);
  return names;
}

TEST(PlotsTest, FewShotCurvesStartAtTheStar) {
  const auto figures = FiguresOf(SyntheticStudy("few-shot"));
  EXPECT_THAT(NamesOf(figures),
              ElementsAre("few-shot", "few-shot-average", "few-shot-a",
                          "few-shot-b", "few-shot-c"));
  const Figure& overview = figures[0].figure;
  ASSERT_EQ(overview.panels.size(), 4u);
  EXPECT_EQ(overview.panels[0].title, "Average");
  const ChartPanel& panel = overview.panels[2];
  EXPECT_EQ(panel.title, "b");
  EXPECT_EQ(panel.ticks.size(), 6u);
  const ChartSeries& zero = panel.series[0];
  EXPECT_TRUE(zero.star);
  ASSERT_EQ(zero.points.size(), 1u);
  EXPECT_EQ(zero.points[0].x, 0);
  EXPECT_NEAR(zero.points[0].y, 55, 1e-9);
  const ChartSeries& coop = panel.series[2];
  ASSERT_EQ(coop.points.size(), 5u);
  EXPECT_EQ(coop.points[4].x, 16);
  EXPECT_NEAR(coop.points[4].y, 75, 1e-9);
  EXPECT_GT(coop.points[4].spread, 0);
  EXPECT_NE(coop.style, panel.series[1].style);
}

TEST(PlotsTest, EveryExperimentHasFigures) {
  for (const ExperimentInfo& info : Experiments()) {
    const auto figures = FiguresOf(SyntheticStudy(info.name));
    EXPECT_FALSE(figures.empty()) << info.name;
    for (const NamedFigure& figure : figures) {
      EXPECT_TRUE(FigureSvg(figure.figure).ok()) << figure.name;
      for (const ChartPanel& panel : figure.figure.panels) {
        EXPECT_FALSE(panel.x_label.empty());
        EXPECT_FALSE(panel.y_label.empty());
        EXPECT_FALSE(panel.ticks.empty());
      }
    }
  }
}

TEST(PlotsTest, DomainsHaveAFigureAnEncoder) {
  const auto figures = FiguresOf(SyntheticStudy("domain-generalization"));
  EXPECT_THAT(NamesOf(figures), ElementsAre("domain-generalization-small",
                                            "domain-generalization-large"));
  const ChartPanel& panel = figures[0].figure.panels[0];
  ASSERT_EQ(panel.ticks.size(), 4u);
  EXPECT_EQ(panel.ticks[3].label, "Target average");
  EXPECT_EQ(panel.series.size(), 5u);
}

TEST(PlotsTest, LengthsAreLinesOverM) {
  const auto figures = FiguresOf(SyntheticStudy("context-length"));
  ASSERT_EQ(figures.size(), 1u);
  // The average of the tasks, the source, the average of the targets.
  ASSERT_EQ(figures[0].figure.panels.size(), 3u);
  const ChartPanel& panel = figures[0].figure.panels[1];
  EXPECT_EQ(panel.title, "s");
  ASSERT_EQ(panel.series.size(), 2u);
  EXPECT_EQ(panel.series[1].points[2].x, 16);
}

TEST(PlotsTest, WithoutResultsThereIsNothingToDraw) {
  const Study study(SyntheticStudy("few-shot").plan(), {});
  EXPECT_TRUE(FiguresOf(study).empty());
}

}  // namespace
}  // namespace promptd::experiments

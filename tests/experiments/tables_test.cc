#include "experiments/tables.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"

namespace promptd::experiments {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The numbers follow from SyntheticResults; one member failed and one is
// missing.
constexpr char kFewShot[] = R"GOLD(# few-shot

17 of 18 members are done, 1 of them failed. Accuracies in percent: mean over seeds ± population standard deviation; a gain is over the best of the server's zero-shot templates on the same images; `*` marks cells with fewer seeds than planned, `–` cells without a result.

### Linear probe: accuracy by shots

| Dataset | Zero-shot CLIP |     1 shot |    4 shots |
|:--------|---------------:|-----------:|-----------:|
| a       |           50.0 |      52.0* | 55.5 ± 0.5 |
| b       |           55.0 | 56.5 ± 0.5 | 60.5 ± 0.5 |
| Average |           52.5 |      54.2* | 58.0 ± 0.5 |

### CoOp (M=16): accuracy by shots

| Dataset | Zero-shot CLIP |     1 shot |    4 shots |
|:--------|---------------:|-----------:|-----------:|
| a       |           50.0 | 61.5 ± 0.5 | 65.5 ± 0.5 |
| b       |           55.0 | 66.5 ± 0.5 |      70.0* |
| Average |           52.5 | 64.0 ± 0.5 |      67.8* |

### Linear probe: gain over zero-shot by shots

| Dataset |     1 shot |     4 shots |
|:--------|-----------:|------------:|
| a       |      +2.0* |  +5.5 ± 0.5 |
| b       | +6.5 ± 0.5 | +10.5 ± 0.5 |
| Average |      +4.3* |  +8.0 ± 0.5 |

### CoOp (M=16): gain over zero-shot by shots

| Dataset |      1 shot |     4 shots |
|:--------|------------:|------------:|
| a       | +11.5 ± 0.5 | +15.5 ± 0.5 |
| b       | +16.5 ± 0.5 |      +20.0* |
| Average | +14.0 ± 0.5 |      +17.8* |

### All methods at 4 shots

| Dataset | Best template | Zero-shot CLIP | Linear probe | CoOp (M=16) | Gain of CoOp (M=16) |
|:--------|--------------:|---------------:|-------------:|------------:|--------------------:|
| a       |          50.0 |           50.0 |   55.5 ± 0.5 |  65.5 ± 0.5 |         +15.5 ± 0.5 |
| b       |          50.0 |           55.0 |   60.5 ± 0.5 |       70.0* |              +20.0* |
| Average |          50.0 |           52.5 |   58.0 ± 0.5 |       67.8* |              +17.8* |

### Classes that the encoder's training had and had not, 4 shots

| Dataset |         Method |       Seen |        Gain |     Unseen |       Gain |
|:--------|---------------:|-----------:|------------:|-----------:|-----------:|
| a       | Zero-shot CLIP |       50.0 |        +0.0 |          – |          – |
| a       |   Linear probe | 55.5 ± 0.5 |  +5.5 ± 0.5 |          – |          – |
| a       |    CoOp (M=16) | 65.5 ± 0.5 | +15.5 ± 0.5 |          – |          – |
| b       | Zero-shot CLIP |       65.0 |       +10.0 |       45.0 |       +0.0 |
| b       |   Linear probe | 70.5 ± 0.5 | +15.5 ± 0.5 | 50.5 ± 0.5 | +5.5 ± 0.5 |
| b       |    CoOp (M=16) |      80.0* |      +25.0* |      60.0* |     +15.0* |
| Average | Zero-shot CLIP |       57.5 |        +5.0 |       45.0 |       +0.0 |
| Average |   Linear probe | 63.0 ± 0.5 | +10.5 ± 0.5 | 50.5 ± 0.5 | +5.5 ± 0.5 |
| Average |    CoOp (M=16) |      72.8* |      +20.2* |      60.0* |     +15.0* |

![few-shot.svg](few-shot.svg)

### Failed

- BAD_C: no C works
  (`a+small+linear-probe+shots-1+seed-1`)

### Not there yet

1 member; the next is `b+small+coop-m16-end+shots-4+seed-2`.

)GOLD";

TEST(TablesTest, FewShotIsLaidOutAsInThePaper) {
  PlanOptions options;
  options.tasks = {"a", "b"};
  options.shots = {1, 4};
  options.seeds = {1, 2};
  const Study whole = SyntheticStudy("few-shot", options);
  auto results = SyntheticResults(whole.plan());
  Score& failed =
      results.at("a+small+linear-probe+shots-1+seed-1").scores.front();
  failed.reason = "BAD_C";
  failed.message = "no C\nworks";
  results.erase("b+small+coop-m16-end+shots-4+seed-2");
  EXPECT_EQ(TablesMarkdown(Study(whole.plan(), results), {"few-shot.svg"}),
            kFewShot);
}

TEST(TablesTest, CellsSayWhatTheyAre) {
  EXPECT_EQ(CellText(std::nullopt, true), "–");
  EXPECT_EQ(CellText(Summary{0.7346, 0, 1, 1}, false), "73.5");
  EXPECT_EQ(CellText(Summary{0.7346, 0.0061, 3, 3}, false), "73.5 ± 0.6");
  EXPECT_EQ(CellText(Summary{-0.026, 0.001, 2, 3}, true), "-2.6 ± 0.1*");
  EXPECT_EQ(CellText(Summary{0.026, 0, 1, 3}, true), "+2.6*");
}

TEST(TablesTest, ColumnsAreAsWideAsTheirText) {
  EXPECT_EQ(MarkdownTable({"A", "Wide header"}, {{"long label", "1 ± 2"}}),
            "| A          | Wide header |\n"
            "|:-----------|------------:|\n"
            "| long label |       1 ± 2 |\n");
}

TEST(TablesTest, DomainsStandBesideTheirSource) {
  const std::string text =
      TablesMarkdown(SyntheticStudy("domain-generalization"), {});
  EXPECT_THAT(text, HasSubstr("## Encoder large"));
  EXPECT_THAT(
      text,
      HasSubstr("| CoOp (M=4)     | 70.0 ± 0.8 | 60.0 ± 0.8 | 60.0 ± 0.8 |     "
                "60.0 ± 0.8 |"));
  EXPECT_THAT(text, HasSubstr("### Target average: accuracy by encoder"));
  // The source has no unseen class: nothing is told apart.
  EXPECT_THAT(text, Not(HasSubstr("Classes that")));
}

TEST(TablesTest, EncodersHaveATableOfTheirOwn) {
  const std::string text = TablesMarkdown(SyntheticStudy("backbones"), {});
  EXPECT_THAT(text, HasSubstr("### Average: accuracy by encoder\n\n"
                              "| Method         |      small |      large |"));
}

TEST(TablesTest, EveryExperimentHasItsMethodsInItsTables) {
  for (const ExperimentInfo& info : Experiments()) {
    const Study study = SyntheticStudy(info.name);
    const std::string text = TablesMarkdown(study, {});
    for (const PlanMethod& method : study.plan().methods) {
      EXPECT_THAT(text, HasSubstr(method.label)) << info.name;
    }
    EXPECT_THAT(text, Not(HasSubstr("Failed")));
    EXPECT_THAT(text, Not(HasSubstr("*\n"))) << info.name;
  }
}

TEST(TablesTest, WithoutResultsItSaysWhatComesNext) {
  const std::string text =
      TablesMarkdown(Study(SyntheticStudy("few-shot").plan(), {}), {});
  EXPECT_THAT(text, HasSubstr("0 of 93 members are done."));
  EXPECT_THAT(text, HasSubstr("the next is `a+small+zero-shot`"));
}

}  // namespace
}  // namespace promptd::experiments

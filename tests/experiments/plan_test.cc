#include "experiments/plan.h"

#include <set>

#include "common/error.h"
#include "experiments/methods.h"
#include "experiments/template_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"

namespace promptd::experiments {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Plan PlanOf(const std::string& experiment, const PlanOptions& options = {}) {
  const auto plan = MakePlan(experiment, SyntheticBenchmark(), options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

const Member& Find(const Plan& plan, const std::string& key) {
  for (const Member& member : plan.members) {
    if (member.key == key) return member;
  }
  ADD_FAILURE() << "no member " << key;
  return plan.members.front();
}

struct Count {
  std::string experiment;
  size_t members;
  int64_t jobs;
};

class PlanCountTest : public ::testing::TestWithParam<Count> {};

TEST_P(PlanCountTest, HasAsManyMembersAndJobs) {
  const Plan plan = PlanOf(GetParam().experiment);
  EXPECT_EQ(plan.members.size(), GetParam().members);
  EXPECT_EQ(plan.JobCount(), GetParam().jobs);
  std::set<std::string> keys;
  for (const Member& member : plan.members) {
    EXPECT_TRUE(keys.insert(member.key).second) << member.key;
    EXPECT_EQ(member.key.find_first_of("/ \\"), std::string::npos);
    EXPECT_NE(plan.FindDataset(member.dataset), nullptr);
    EXPECT_NE(plan.FindMethod(member.method), nullptr);
    for (const std::string& target : member.targets) {
      EXPECT_NE(plan.FindDataset(target), nullptr);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, PlanCountTest,
    ::testing::Values(
        // 3 tasks: zero-shot, and 2 methods at 5 shots and 3 seeds.
        Count{"few-shot", 3 * (1 + 2 * 5 * 3), 93},
        // 2 encoders: zero-shot, 4 methods and 3 seeds, 2 targets each.
        Count{"domain-generalization", 2 * (1 + 4 * 3), 2 * 13 * 3},
        // 2 variant tasks and the source: 6 methods and 3 seeds.
        Count{"context-length", 3 * 6 * 3, 2 * 18 + 18 * 3},
        // 2 encoders, 2 variant tasks: 2 zero-shot, CoOp at 3 seeds.
        Count{"backbones", 2 * 2 * (2 + 3), 20},
        Count{"ensembling", 2 * (3 + 3), 12},
        Count{"tuning-methods", 2 * (1 + 6 * 3), 38},
        Count{"initialization", 2 * 2 * 3, 12}),
    [](const auto& param_info) {
      std::string name = param_info.param.experiment;
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

TEST(PlanTest, EveryListedExperimentHasAPlan) {
  for (const ExperimentInfo& info : Experiments()) {
    EXPECT_FALSE(PlanOf(info.name).members.empty()) << info.name;
  }
  EXPECT_EQ(Experiments().size(), 7u);
}

TEST(PlanTest, KeysAndSpecificationsStayAsTheyAre) {
  const Plan plan = PlanOf("few-shot");
  const Member& coop = Find(plan, "b+small+coop-m16-end+shots-4+seed-2");
  EXPECT_EQ(coop.spec.method(), "coop");
  EXPECT_EQ(coop.spec.context_tokens(), 16);
  EXPECT_EQ(coop.spec.shots(), 4);
  EXPECT_EQ(coop.spec.seed(), 2);
  EXPECT_EQ(coop.spec.encoder(), "small");
  EXPECT_FALSE(coop.spec.has_epochs());
  EXPECT_EQ(coop.spec.text_templates_size(), 0);
  const Member& zero = Find(plan, "b+small+zero-shot");
  EXPECT_FALSE(zero.spec.has_shots());
  EXPECT_FALSE(zero.spec.has_seed());
  EXPECT_THAT(zero.spec.text_templates(), ElementsAre("a b of a {}."));
  const Member& probe = Find(plan, "c+small+linear-probe+shots-1+seed-1");
  EXPECT_FALSE(probe.spec.has_context_tokens());
  EXPECT_EQ(probe.spec.text_templates_size(), 0);
}

TEST(PlanTest, MembersOfOneEncoderDatasetAndSeedAreNeighbours) {
  std::vector<std::string> seen;
  for (const Member& member : PlanOf("tuning-methods").members) {
    const std::string group =
        member.encoder + member.dataset + std::to_string(member.seed);
    if (seen.empty() || seen.back() != group) {
      EXPECT_THAT(seen, Not(Contains(group)));
      seen.push_back(group);
    }
  }
}

TEST(PlanTest, OptionsNarrowAndWiden) {
  PlanOptions options;
  options.tasks = {"c"};
  options.seeds = {7};
  options.shots = {2, 1, 2};
  options.epochs = 3;
  options.views = 0;
  options.encoders = {"large"};
  const Plan plan = PlanOf("few-shot", options);
  EXPECT_EQ(plan.members.size(), 1u + 2 * 2);
  EXPECT_THAT(plan.shots, ElementsAre(1, 2));
  EXPECT_EQ(Find(plan, "c+large+coop-m16-end+shots-1+seed-7").spec.epochs(), 3);
  EXPECT_EQ(Find(plan, "c+large+coop-m16-end+shots-1+seed-7").spec.views(), 0);
  EXPECT_TRUE(
      Find(plan, "c+large+coop-m16-end+shots-1+seed-7").spec.has_views());
  const Member& probe = Find(plan, "c+large+linear-probe+shots-1+seed-7");
  EXPECT_FALSE(probe.spec.has_epochs());
  EXPECT_FALSE(probe.spec.has_views());

  PlanOptions all;
  all.all_tasks = true;
  EXPECT_EQ(PlanOf("initialization", all).members.size(), 3u * 2 * 3);
}

TEST(PlanTest, VariantsRunOnTheirTasksOnly) {
  PlanOptions options;
  options.variants = true;
  options.seeds = {1};
  options.shots = {16};
  const Plan plan = PlanOf("few-shot", options);
  EXPECT_EQ(plan.members.size(), 3u * 3 + 2 * 3);
  const Member& csc = Find(plan, "b+small+coop-m16-middle-csc+shots-16+seed-1");
  EXPECT_TRUE(csc.spec.class_specific());
  EXPECT_EQ(csc.spec.class_position(), v1::CLASS_POSITION_MIDDLE);
}

TEST(PlanTest, EnsemblesHoldTheTemplatesOfThePaper) {
  const Plan plan = PlanOf("ensembling");
  EXPECT_EQ(Find(plan, "b+small+zero-shot-7").spec.text_templates_size(), 8);
  EXPECT_EQ(Find(plan, "b+small+zero-shot-80").spec.text_templates_size(), 80);
  const std::vector<std::string> all = AllTemplates();
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 80u);
  for (const std::string& text : all) EXPECT_EQ(PlacesForName(text), 1) << text;
  for (const std::string& text : SelectedTemplates()) {
    EXPECT_THAT(all, Contains(text));
  }
}

TEST(PlanTest, WordsReplaceTheLengthOfTheContext) {
  const Plan plan = PlanOf("initialization");
  const Member& words =
      Find(plan, "b+small+coop-words-a-photo-of-a+shots-16+seed-1");
  EXPECT_EQ(words.spec.context_init(), "a photo of a");
  EXPECT_FALSE(words.spec.has_context_tokens());
}

TEST(PlanTest, RefusesEverythingThatDoesNotFitAtOnce) {
  PlanOptions options;
  options.tasks = {"a", "zebras"};
  options.encoders = {"huge"};
  options.shots = {0, 4};
  options.seeds = {0};
  options.variants = true;
  options.epochs = 0;
  const auto plan = MakePlan("backbones", SyntheticBenchmark(), options);
  EXPECT_EQ(ErrorReason(plan.status()), "BAD_PLAN");
  std::vector<std::string> fields;
  for (const auto& problem : ErrorFields(plan.status())) {
    fields.push_back(problem.field);
  }
  EXPECT_THAT(fields, ElementsAre("--tasks", "--encoders", "--shots", "--shots",
                                  "--seeds", "--epochs", "--variants"));
}

TEST(PlanTest, SaysWhatTheBenchmarkLacks) {
  Benchmark benchmark = SyntheticBenchmark();
  benchmark.source.reset();
  benchmark.targets.clear();
  EXPECT_THAT(
      std::string(
          MakePlan("domain-generalization", benchmark, {}).status().message()),
      HasSubstr("domain_generalization"));
  // The tasks are there all the same.
  EXPECT_EQ(MakePlan("context-length", benchmark, {})->members.size(),
            2u * 6 * 3);
  EXPECT_EQ(ErrorReason(MakePlan("few-shto", benchmark, {}).status()),
            "UNKNOWN_EXPERIMENT");
}

}  // namespace
}  // namespace promptd::experiments

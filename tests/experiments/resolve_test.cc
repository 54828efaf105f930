#include "experiments/resolve.h"

#include <functional>
#include <set>

#include "gtest/gtest.h"
#include "tests/experiments/synthetic.h"

namespace promptd::experiments {
namespace {

Held AllHeld() {
  Held held;
  for (const char* name : {"a", "b", "c", "s", "s1", "s2"}) {
    held.datasets[name] = {std::string("held-") + name,
                           std::string("digest of ") + name,
                           {"x", "y"}};
  }
  held.encoder_digests = {{"small", "e1"}, {"large", "e2"}};
  return held;
}

// What a change of `held` or of the options changes in the first member.
struct Ids {
  std::string fingerprint, training, evaluation, task;
};
Ids IdsOf(const Held& held, const PlanOptions& options = {}) {
  Plan plan = *MakePlan("domain-generalization", SyntheticBenchmark(), options);
  Resolve(held, &plan);
  const Member& member = plan.members[1];
  EXPECT_EQ(member.targets.size(), 2u);
  return {Fingerprint(held, member), TrainingRequestId(held, member, 1),
          EvaluationRequestId(held, member, "s1", 1), member.spec.task()};
}

TEST(ResolveTest, NamesOfTheServerGoIntoTheSpecification) {
  Plan plan = *MakePlan("few-shot", SyntheticBenchmark(), {});
  Resolve(AllHeld(), &plan);
  EXPECT_EQ(plan.members[0].spec.dataset(), "held-a");
  EXPECT_EQ(plan.members[0].spec.task().substr(0, 10), "x-a-small-");
  std::set<std::string> tasks;
  for (const Member& member : plan.members) tasks.insert(member.spec.task());
  EXPECT_EQ(tasks.size(), 3u) << "one a dataset";
}

TEST(ResolveTest, LongNamesStayWithinTheRule) {
  Plan plan = *MakePlan("few-shot", SyntheticBenchmark(), {});
  Held held = AllHeld();
  plan.members.resize(1);
  plan.members[0].dataset = std::string(63, 'd');
  held.datasets[plan.members[0].dataset] = {"d", "d", {"x", "y"}};
  Resolve(held, &plan);
  EXPECT_EQ(plan.members[0].spec.task().size(), 63u);
}

TEST(ResolveTest, TheSameQuestionHasTheSameIds) {
  const Ids first = IdsOf(AllHeld()), again = IdsOf(AllHeld());
  EXPECT_EQ(first.fingerprint, again.fingerprint);
  EXPECT_EQ(first.training, again.training);
  EXPECT_EQ(first.evaluation, again.evaluation);
  EXPECT_LE(first.training.size(), 64u);
  EXPECT_NE(first.training, first.evaluation);
}

TEST(ResolveTest, AnotherQuestionHasOthers) {
  const Ids base = IdsOf(AllHeld());
  Held images = AllHeld();
  images.datasets["s"].digest = "other";
  EXPECT_NE(IdsOf(images).training, base.training);
  EXPECT_NE(IdsOf(images).fingerprint, base.fingerprint);

  Held encoder = AllHeld();
  encoder.encoder_digests["small"] = "other";
  EXPECT_NE(IdsOf(encoder).training, base.training);
  EXPECT_NE(IdsOf(encoder).task, base.task);

  // The training does not depend on what it is scored on.
  Held target = AllHeld();
  target.datasets["s1"].digest = "other";
  EXPECT_EQ(IdsOf(target).training, base.training);
  EXPECT_NE(IdsOf(target).evaluation, base.evaluation);
  EXPECT_NE(IdsOf(target).fingerprint, base.fingerprint);

  PlanOptions shots;
  shots.shots = {8};
  EXPECT_NE(IdsOf(AllHeld(), shots).training, base.training);
}

TEST(ResolveTest, AnotherAttemptIsAnotherJob) {
  Plan plan = *MakePlan("few-shot", SyntheticBenchmark(), {});
  const Held held = AllHeld();
  Resolve(held, &plan);
  EXPECT_NE(TrainingRequestId(held, plan.members[0], 1),
            TrainingRequestId(held, plan.members[0], 2));
}

}  // namespace
}  // namespace promptd::experiments

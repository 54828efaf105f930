#include "tests/experiments/synthetic.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace promptd::experiments {
namespace {

BenchmarkDataset Dataset(const std::string& name) {
  BenchmarkDataset dataset;
  dataset.name = name;
  dataset.field = absl::StrCat("field of ", name);
  dataset.dataset = absl::StrCat("held-", name);
  dataset.template_text = absl::StrCat("a ", name, " of a {}.");
  return dataset;
}

double AccuracyOf(const Member& member, bool target) {
  double accuracy = 0.5;
  if (member.shots > 0) accuracy += 0.02 * std::log2(member.shots);
  accuracy += 0.01 * static_cast<double>(member.seed);
  if (absl::StartsWith(member.method, "coop")) accuracy += 0.1;
  if (target) accuracy -= 0.1;
  if (member.dataset == "b") accuracy += 0.05;
  return accuracy;
}

}  // namespace

Benchmark SyntheticBenchmark() {
  Benchmark benchmark;
  benchmark.file = "synthetic.json";
  benchmark.tasks = {Dataset("a"), Dataset("b"), Dataset("c")};
  benchmark.tasks[1].unseen_classes = {"y"};
  benchmark.variant_tasks = {"b", "c"};
  benchmark.source = Dataset("s");
  benchmark.targets = {Dataset("s1"), Dataset("s2")};
  benchmark.targets[1].unseen_style = true;
  benchmark.encoders = {{"small", "encoders[0]", ""},
                        {"large", "encoders[1]", "/models/large"}};
  return benchmark;
}

v1::Evaluation SyntheticEvaluation(double accuracy, double zero_shot) {
  v1::Evaluation evaluation;
  evaluation.set_split("test");
  evaluation.set_images(100);
  evaluation.set_accuracy(accuracy);
  evaluation.set_macro_f1(accuracy);
  evaluation.set_ece(0.05);
  evaluation.set_zero_shot_accuracy(zero_shot);
  evaluation.set_zero_shot_template("a {}, it seems.");
  for (const auto& [name, apart] :
       {std::pair<const char*, double>{"x", 0.1}, {"y", -0.1}}) {
    auto* entry = evaluation.add_classes();
    entry->set_class_name(name);
    entry->set_images(50);
    entry->set_accuracy(accuracy + apart);
    entry->set_zero_shot_accuracy(zero_shot + apart / 2);
  }
  return evaluation;
}

std::map<std::string, MemberResult> SyntheticResults(const Plan& plan) {
  std::map<std::string, MemberResult> results;
  int64_t job = 0;
  for (const Member& member : plan.members) {
    MemberResult result;
    result.key = member.key;
    result.fingerprint = absl::StrCat("print of ", member.key);
    result.task = "task";
    result.version = ++job;
    result.spec = member.spec;
    Score own;
    own.dataset = member.dataset;
    own.job_id = job;
    own.seconds = 2;
    own.result = SyntheticEvaluation(AccuracyOf(member, false), 0.5);
    result.scores = {own};
    for (const std::string& target : member.targets) {
      Score score = own;
      score.dataset = target;
      score.seconds = 1;
      score.result = SyntheticEvaluation(AccuracyOf(member, true), 0.5);
      result.scores.push_back(score);
    }
    results[member.key] = result;
  }
  return results;
}

Study SyntheticStudy(const std::string& experiment,
                     const PlanOptions& options) {
  const absl::StatusOr<Plan> plan =
      MakePlan(experiment, SyntheticBenchmark(), options);
  PROMPTD_CHECK(plan.ok());
  return Study(*plan, SyntheticResults(*plan));
}

}  // namespace promptd::experiments

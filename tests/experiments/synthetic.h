// Benchmarks and results made up for tests: every number follows from the
// member that it is of.
#pragma once

#include <map>
#include <string>

#include "experiments/benchmark.h"
#include "experiments/plan.h"
#include "experiments/result.h"
#include "experiments/study.h"

namespace promptd::experiments {

// Tasks "a", "b" (one unseen class) and "c", of which "b" and "c" are for
// variants; source "s" with targets "s1" and "s2" (unseen style); encoders
// "small" and "large".
Benchmark SyntheticBenchmark();

// An evaluation of 100 images: classes "x" and "y" of 50 each, 0.2 apart, so
// that their mean is `accuracy`; the baseline 0.1 above and below
// `zero_shot` likewise.
v1::Evaluation SyntheticEvaluation(double accuracy, double zero_shot);

// All members succeeded. Accuracy: 0.5, +0.02 a doubling of shots, +0.01 a
// seed, +0.1 for CoOp, -0.1 on targets, +0.05 on "b"; zero-shot 0.5.
std::map<std::string, MemberResult> SyntheticResults(const Plan& plan);

Study SyntheticStudy(const std::string& experiment,
                     const PlanOptions& options = {});

}  // namespace promptd::experiments

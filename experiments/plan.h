// What an experiment consists of: its members, one trained (or zero-shot)
// classifier each, and the datasets that each is scored on. After "Learning to
// Prompt for Vision-Language Models" (Zhou et al., IJCV 2022), section 4.
// Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "experiments/benchmark.h"
#include "promptd/v1/training.pb.h"

namespace promptd::experiments {

struct ExperimentInfo {
  std::string name;
  std::string summary;  // one line
};
const std::vector<ExperimentInfo>& Experiments();

struct PlanOptions {
  std::vector<std::string> tasks;     // empty: the experiment's own
  bool all_tasks = false;             // every task of the benchmark
  std::vector<std::string> encoders;  // empty: the experiment's own
  std::vector<int64_t> seeds = {1, 2, 3};
  std::vector<int> shots;  // empty: the experiment's own
  bool variants = false;   // of few-shot: class-specific, middle
  // Of methods that learn by steps; unset: the server's defaults.
  std::optional<int> epochs;
  std::optional<int> views;  // 0: a fresh one each epoch
};

// A dataset as tables and plots name and sort it.
struct PlanDataset {
  std::string name;
  bool target = false;        // scored on, never trained on
  bool source = false;        // of the targets
  bool unseen_style = false;  // of a target
  std::vector<std::string> unseen_classes;
};

struct PlanMethod {
  std::string key;    // "coop-m16-end"
  std::string label;  // "CoOp (M=16)"
};

struct Member {
  // Stable, unique in a plan and usable as a file name:
  // "food+embedded+coop-m16-end+shots-16+seed-1".
  std::string key;
  std::string dataset;  // of the benchmark: what is learned from
  std::string encoder;
  std::string method;  // key of a PlanMethod
  int shots = 0;       // 0: looks at no training image
  int64_t seed = 0;    // 0: nothing is drawn
  // Its task and dataset are the server's business: see resolve.h.
  v1::TrainingSpec spec;
  std::vector<std::string> targets;  // of the benchmark, scored on as well
};

struct Plan {
  std::string experiment;
  std::vector<PlanDataset> datasets;  // as tables list them
  std::vector<std::string> encoders;
  std::vector<PlanMethod> methods;
  std::vector<int> shots;
  // In the order to run: members that share image features are neighbours.
  std::vector<Member> members;

  int64_t JobCount() const;  // trainings and evaluations
  const PlanDataset* FindDataset(const std::string& name) const;
  const PlanMethod* FindMethod(const std::string& key) const;
};

// INVALID_ARGUMENT (UNKNOWN_EXPERIMENT) lists those there are;
// INVALID_ARGUMENT (BAD_PLAN) names every option that does not fit, or what
// the benchmark lacks for this experiment.
absl::StatusOr<Plan> MakePlan(const std::string& experiment,
                              const Benchmark& benchmark,
                              const PlanOptions& options);

}  // namespace promptd::experiments

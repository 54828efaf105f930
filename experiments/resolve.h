// From a plan to what a server is asked: its names and digests go into the
// members' specifications and into the ids of their requests. Pure;
// thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "experiments/plan.h"

namespace promptd::experiments {

// What the server holds under a benchmark's names.
struct HeldDataset {
  std::string name;  // on the server
  std::string digest;
  std::vector<std::string> class_names;
};
struct Held {
  std::map<std::string, HeldDataset> datasets;  // by the benchmark's name
  std::map<std::string, std::string> encoder_digests;
};

// Sets every member's dataset and task. The task is one of a dataset and an
// encoder: "x-food-embedded-1a2b3c4d", whose last part is of the class names
// and the encoder's digest, so that neither can change under it. `held` has
// all that the plan names.
void Resolve(const Held& held, Plan* plan);

// What a result depends on: specification, images, encoder and targets. A
// result with another fingerprint is of another question.
std::string Fingerprint(const Held& held, const Member& resolved);

// Request ids, the same whenever the same is asked; `attempt` from 1. The
// first is of the training alone, so experiments share what they have in
// common.
std::string TrainingRequestId(const Held& held, const Member& resolved,
                              int attempt);
std::string EvaluationRequestId(const Held& held, const Member& resolved,
                                const std::string& target, int attempt);

}  // namespace promptd::experiments

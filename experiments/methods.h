// The methods that experiments compare, each as a label and the part of a
// training specification that makes it. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "experiments/benchmark.h"
#include "experiments/plan.h"
#include "promptd/v1/training.pb.h"

namespace promptd::experiments {

struct Method : PlanMethod {
  v1::TrainingSpec spec;  // method and its options only
  // The task's own template is the one text template, or joins the others.
  bool own_template = false;
  bool variant = false;  // of few-shot: on the tasks for variants only
};

Method ZeroShot();
// CoOp's protocol: the seven templates and the task's own, averaged.
Method SevenTemplates();
Method EightyTemplates();
Method LinearProbe();
Method ClassPrior();
Method TextBias();
Method TextTransform();
Method ImageEncoder();
// `position` "end" or "middle".
Method Coop(int context_tokens, const std::string& position = "end",
            bool class_specific = false);
Method CoopFromWords(const std::string& words);

// Whether the method learns from images, by common/method_traits.h.
bool UsesShots(const Method& method);
// Whether epochs and views are fields of its specification.
bool LearnsBySteps(const Method& method);

// The method's specification for one task.
v1::TrainingSpec SpecFor(const Method& method, const BenchmarkDataset& task);

}  // namespace promptd::experiments

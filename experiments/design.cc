#include "experiments/design.h"

#include "experiments/plan.h"

namespace promptd::experiments {
namespace {

Method AsVariant(Method method) {
  method.variant = true;
  return method;
}

}  // namespace

Design DesignOf(const std::string& experiment, bool variants) {
  Design design;
  design.on = Design::On::kVariantTasks;
  if (experiment == "few-shot") {
    design.on = Design::On::kTasks;
    design.by_shots = true;
    design.methods = {ZeroShot(), LinearProbe(), Coop(16)};
    if (variants) {
      design.methods.push_back(AsVariant(Coop(16, "middle")));
      design.methods.push_back(AsVariant(Coop(16, "end", true)));
      design.methods.push_back(AsVariant(Coop(16, "middle", true)));
    }
  } else if (experiment == "domain-generalization") {
    design.on = Design::On::kSource;
    design.every_encoder = true;
    design.methods = {ZeroShot(), LinearProbe(), ClassPrior(), Coop(16),
                      Coop(4)};
  } else if (experiment == "context-length") {
    design.on = Design::On::kVariantTasksAndSource;
    for (const char* position : {"end", "middle"}) {
      for (const int tokens : {4, 8, 16}) {
        design.methods.push_back(Coop(tokens, position));
      }
    }
  } else if (experiment == "backbones") {
    design.every_encoder = true;
    design.methods = {ZeroShot(), SevenTemplates(), Coop(16)};
  } else if (experiment == "ensembling") {
    design.methods = {ZeroShot(), SevenTemplates(), EightyTemplates(),
                      Coop(16)};
  } else if (experiment == "tuning-methods") {
    design.methods = {ZeroShot(), ClassPrior(),    LinearProbe(),
                      TextBias(), TextTransform(), ImageEncoder(),
                      Coop(16)};
  } else {  // initialization
    design.methods = {Coop(4), CoopFromWords("a photo of a")};
  }
  return design;
}

const std::vector<ExperimentInfo>& Experiments() {
  static const auto* const kExperiments = new std::vector<ExperimentInfo>{
      {"few-shot",
       "accuracy by shots: zero-shot, linear probe, CoOp (section 4.1)"},
      {"domain-generalization",
       "trained on the source, scored on other domains (section 4.2)"},
      {"context-length",
       "M = 4, 8, 16, class name at the end or in the middle (section 4.3)"},
      {"backbones", "the same on every encoder (section 4.3)"},
      {"ensembling",
       "prompt engineering, prompt ensembling, CoOp (section 4.3)"},
      {"tuning-methods",
       "other ways to adapt with the same images (section 4.3)"},
      {"initialization",
       "a random start against \"a photo of a\" (section 4.3)"}};
  return *kExperiments;
}

}  // namespace promptd::experiments

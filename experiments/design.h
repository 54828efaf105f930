// Each experiment's design: which methods it compares, and on what. Pure;
// thread-safe.
#pragma once

#include <string>
#include <vector>

#include "experiments/methods.h"

namespace promptd::experiments {

struct Design {
  enum class On { kTasks, kVariantTasks, kSource, kVariantTasksAndSource };
  On on = On::kTasks;
  bool every_encoder = false;  // else the first
  bool by_shots = false;       // 1, 2, 4, 8, 16; else 16
  std::vector<Method> methods;
};

// `experiment` is one of Experiments(); `variants` of few-shot as well.
Design DesignOf(const std::string& experiment, bool variants);

}  // namespace promptd::experiments

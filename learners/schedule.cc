#include "learners/schedule.h"

#include <cmath>
#include <numbers>

namespace promptd::learners {

double LearningRate(const Schedule& schedule, int epoch) {
  if (epoch < schedule.warmup_epochs) return schedule.warmup_learning_rate;
  const double phase =
      std::numbers::pi * (epoch - schedule.warmup_epochs) / schedule.epochs;
  return schedule.learning_rate / 2 * (1 + std::cos(phase));
}

}  // namespace promptd::learners

// CoOp's learning rate, one value an epoch.
#pragma once

namespace promptd::learners {

struct Schedule {
  double learning_rate = 0.002;
  int epochs = 200;
  int warmup_epochs = 1;
  double warmup_learning_rate = 1e-5;
};

// Epoch e = 0, 1, ...: the constant warm-up rate for the first warmup_epochs,
// then the cosine that started with the first epoch after the warm-up and is
// not shortened by it (Dassl's ConstantWarmupScheduler, WARMUP_RECOUNT):
//   lr(e) = learning_rate / 2 * (1 + cos(pi * (e - warmup_epochs) / epochs)).
double LearningRate(const Schedule& schedule, int epoch);

}  // namespace promptd::learners

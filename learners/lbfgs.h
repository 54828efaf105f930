// Minimises a smooth function of many variables. Who calls computes values and
// gradients where it is told to, in pieces of whatever size.
//
//   Lbfgs lbfgs(start, {});
//   while (!lbfgs.done()) {
//     lbfgs.Tell(ValueAt(lbfgs.point()), GradientAt(lbfgs.point()));
//   }
//   lbfgs.point();
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <optional>

#include "learners/wolfe_search.h"

namespace promptd::learners {

struct LbfgsOptions {
  int history = 10;  // pairs of steps and gradient changes
  int max_iterations = 1000;
  // Done when no component of the gradient is larger,
  double gradient_tolerance = 1e-8;
  // or an iteration gains no more than this, relative to the larger of the
  // value and 1.
  double decrease_tolerance = 1e-16;
};

// Limited-memory BFGS: two-loop recursion (Nocedal & Wright, Numerical
// Optimization, algorithms 7.4 and 7.5), strong Wolfe steps (wolfe_search.h).
// The first step is min(1, 1 / |gradient|_1). Where no step decreases the
// value, the direction of steepest descent is tried once before giving up.
// Deterministic. float64 on the device of `start`. Throws c10::Error.
class Lbfgs {
 public:
  enum class End { kRunning, kGradient, kDecrease, kIterations, kNoStep };

  Lbfgs(const at::Tensor& start, const LbfgsOptions& options);  // [n]

  bool done() const { return end_ != End::kRunning; }
  End end() const { return end_; }
  // Where value and gradient are wanted; when done, the solution.
  const at::Tensor& point() const { return point_; }
  void Tell(double value, const at::Tensor& gradient);

  int iterations() const { return iterations_; }
  double value() const { return value_; }  // of the last iteration's point

 private:
  struct Pair {
    at::Tensor step, change;  // s, y [n]
    double rho = 0;           // 1 / dot(s, y)
  };

  void Accept(double value, const at::Tensor& gradient);
  void StartSearch();
  void GiveUpOrDescend();
  at::Tensor Direction() const;

  const LbfgsOptions options_;
  at::Tensor point_;
  at::Tensor base_, gradient_, direction_;  // of the iteration, [n]
  double value_ = 0;
  bool started_ = false;
  int iterations_ = 0;
  End end_ = End::kRunning;
  std::deque<Pair> pairs_;  // oldest first
  std::optional<WolfeSearch> search_;
};

}  // namespace promptd::learners

// A step along a descent direction that decreases a smooth function enough.
// No torch.
//
//   WolfeSearch search(value, slope, 1.0);
//   while (search.state() == WolfeSearch::State::kSearching) {
//     search.Tell(ValueAt(search.step()), SlopeAt(search.step()));
//   }
#pragma once

namespace promptd::learners {

// The strong Wolfe conditions, f(a) <= f(0) + c1 a f'(0) and |f'(a)| <=
// c2 |f'(0)| with c1 = 1e-4 and c2 = 0.9, by bracketing and cubic
// interpolation (Nocedal & Wright, Numerical Optimization, algorithms 3.5 and
// 3.6). Where f(a) - f(0) is lost in rounding, the slopes decide (approximate
// Wolfe conditions, Hager & Zhang 2005, equation 1.5). A value that is not
// finite is a step too far.
class WolfeSearch {
 public:
  enum class State { kSearching, kFound, kFailed };

  // f(0), f'(0) < 0 and the step to try first, > 0.
  WolfeSearch(double value, double slope, double first_step);

  State state() const { return state_; }
  // The step to look at; the one that was found.
  double step() const { return step_; }
  // f and f' at step().
  void Tell(double value, double slope);

 private:
  struct Trial {
    double step = 0;
    double value = 0;
    double slope = 0;
  };

  bool DecreasesEnough(const Trial& trial) const;
  bool Acceptable(const Trial& trial) const;
  void Bracket(const Trial& trial);
  void Zoom(const Trial& trial);
  double Interpolate() const;

  Trial start_;
  double step_;
  State state_ = State::kSearching;
  int trials_ = 0;
  bool bracketed_ = false;
  Trial low_, high_;  // of the bracket; low_: the last one before it
};

}  // namespace promptd::learners

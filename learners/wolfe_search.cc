#include "learners/wolfe_search.h"

#include <algorithm>
#include <cmath>

namespace promptd::learners {
namespace {

constexpr double kDecrease = 1e-4;  // c1
constexpr double kCurvature = 0.9;  // c2
constexpr double kGrowth = 2;       // of the step before there is a bracket
constexpr int kMaxTrials = 50;
// What a value may be wrong by, relative to the larger of it and 1.
constexpr double kRounding = 1e-14;

}  // namespace

WolfeSearch::WolfeSearch(double value, double slope, double first_step)
    : start_{0, value, slope}, step_(first_step), low_(start_) {}

bool WolfeSearch::DecreasesEnough(const Trial& trial) const {
  return trial.value <=
         start_.value + kDecrease * trial.step * start_.slope;  // false for NaN
}

bool WolfeSearch::Acceptable(const Trial& trial) const {
  if (!std::isfinite(trial.value) || !std::isfinite(trial.slope)) return false;
  if (DecreasesEnough(trial)) {
    return std::abs(trial.slope) <= -kCurvature * start_.slope;
  }
  const double rounding = kRounding * std::max(1.0, std::abs(start_.value));
  return std::abs(trial.value - start_.value) <= rounding &&
         trial.slope >= kCurvature * start_.slope &&
         trial.slope <= (2 * kDecrease - 1) * start_.slope;
}

void WolfeSearch::Tell(double value, double slope) {
  const Trial trial{step_, value, slope};
  if (Acceptable(trial)) {
    state_ = State::kFound;
    return;
  }
  if (++trials_ == kMaxTrials) {
    state_ = State::kFailed;
    return;
  }
  if (bracketed_) {
    Zoom(trial);
  } else {
    Bracket(trial);
  }
  if (bracketed_) step_ = Interpolate();
  // Nothing lies between the ends any more.
  if (bracketed_ && (step_ == low_.step || step_ == high_.step)) {
    state_ = State::kFailed;
  }
}

void WolfeSearch::Bracket(const Trial& trial) {
  const bool too_far = !DecreasesEnough(trial) || !std::isfinite(trial.slope) ||
                       (low_.step > 0 && trial.value >= low_.value);
  if (too_far) {
    high_ = trial;
    bracketed_ = true;
  } else if (trial.slope >= 0) {
    high_ = low_;
    low_ = trial;
    bracketed_ = true;
  } else {
    low_ = trial;
    step_ *= kGrowth;
  }
}

void WolfeSearch::Zoom(const Trial& trial) {
  if (!DecreasesEnough(trial) || !std::isfinite(trial.slope) ||
      trial.value >= low_.value) {
    high_ = trial;
    return;
  }
  if (trial.slope * (high_.step - low_.step) >= 0) high_ = low_;
  low_ = trial;
}

double WolfeSearch::Interpolate() const {
  const double width = high_.step - low_.step;
  const double middle = low_.step + width / 2;
  // The minimum of the cubic through both ends (Nocedal & Wright, 3.59).
  const double d1 =
      low_.slope + high_.slope - 3 * (high_.value - low_.value) / width;
  const double d2 =
      std::copysign(std::sqrt(d1 * d1 - low_.slope * high_.slope), width);
  const double cubic = high_.step - width * (high_.slope + d2 - d1) /
                                        (high_.slope - low_.slope + 2 * d2);
  // At least a tenth away from the ends, so that the bracket shrinks.
  const double share = (cubic - low_.step) / width;
  return share >= 0.1 && share <= 0.9 ? cubic : middle;  // middle for NaN
}

}  // namespace promptd::learners

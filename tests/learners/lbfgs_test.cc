#include "learners/lbfgs.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::learners {
namespace {

using Point = std::vector<double>;
// Gives the value and writes the gradient.
using Function = std::function<double(const Point&, Point*)>;

at::Tensor ToTensor(const Point& point) {
  at::Tensor tensor =
      at::empty({static_cast<int64_t>(point.size())}, at::kDouble);
  std::copy(point.begin(), point.end(), tensor.mutable_data_ptr<double>());
  return tensor;
}

Point ToPoint(const at::Tensor& tensor) {
  const double* const first = tensor.const_data_ptr<double>();
  return {first, first + tensor.numel()};
}

struct Outcome {
  Point point;
  int iterations = 0;
  int evaluations = 0;
  Lbfgs::End end = Lbfgs::End::kRunning;
  double value = 0;
};

Outcome Minimise(const Function& function, const Point& start,
                 const LbfgsOptions& options = {}) {
  Lbfgs lbfgs(ToTensor(start), options);
  Outcome outcome;
  while (!lbfgs.done()) {
    Point gradient(start.size());
    const double value = function(ToPoint(lbfgs.point()), &gradient);
    lbfgs.Tell(value, ToTensor(gradient));
    ++outcome.evaluations;
  }
  outcome.point = ToPoint(lbfgs.point());
  outcome.iterations = lbfgs.iterations();
  outcome.end = lbfgs.end();
  outcome.value = lbfgs.value();
  return outcome;
}

// sum_i d_i (x_i - i)^2 / 2 with curvatures from 1 to 1e4.
double Quadratic(const Point& x, Point* gradient) {
  double value = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double share = static_cast<double>(i) / (x.size() - 1);
    const double curvature = std::pow(1e4, share);
    const double off = x[i] - static_cast<double>(i);
    value += curvature * off * off / 2;
    (*gradient)[i] = curvature * off;
  }
  return value;
}

double Rosenbrock(const Point& x, Point* gradient) {
  double value = 0;
  std::fill(gradient->begin(), gradient->end(), 0);
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i];
    const double b = 1 - x[i];
    value += 100 * a * a + b * b;
    (*gradient)[i] += -400 * x[i] * a - 2 * b;
    (*gradient)[i + 1] += 200 * a;
  }
  return value;
}

TEST(LbfgsTest, FindsTheBottomOfAnIllConditionedQuadratic) {
  const Outcome outcome =
      Minimise(Quadratic, Point(50, 7.0),
               {.max_iterations = 2000, .decrease_tolerance = 0});
  EXPECT_EQ(outcome.end, Lbfgs::End::kGradient);
  for (size_t i = 0; i < outcome.point.size(); ++i) {
    EXPECT_NEAR(outcome.point[i], static_cast<double>(i), 1e-8);
  }
  // scipy's L-BFGS-B, with the same memory and tolerance, takes 1091.
  EXPECT_LT(outcome.iterations, 1100);
  EXPECT_LT(outcome.evaluations, 1.2 * outcome.iterations);
}

TEST(LbfgsTest, FollowsRosenbrocksValley) {
  for (const Point& start : {Point{-1.2, 1}, Point{5, -5}, Point(10, -1.0)}) {
    const Outcome outcome =
        Minimise(Rosenbrock, start, {.decrease_tolerance = 0});
    if (start.size() == 2) {
      for (const double x : outcome.point) EXPECT_NEAR(x, 1, 1e-6);
    }
    // In ten dimensions there is a second minimum; either is a stationary
    // point.
    EXPECT_EQ(outcome.end, Lbfgs::End::kGradient);
    EXPECT_LT(outcome.iterations, 120);
    EXPECT_LT(outcome.evaluations, 2 * outcome.iterations);
  }
}

TEST(LbfgsTest, IsDoneAtOnceWhereTheGradientVanishes) {
  Point bottom(50);
  for (size_t i = 0; i < bottom.size(); ++i) bottom[i] = static_cast<double>(i);
  const Outcome outcome = Minimise(Quadratic, bottom);
  EXPECT_EQ(outcome.evaluations, 1);
  EXPECT_EQ(outcome.point, bottom);
}

TEST(LbfgsTest, StopsAfterItsIterations) {
  const Outcome outcome =
      Minimise(Rosenbrock, {-1.2, 1}, {.max_iterations = 5});
  EXPECT_EQ(outcome.end, Lbfgs::End::kIterations);
  EXPECT_EQ(outcome.iterations, 5);
  Point gradient(2);
  EXPECT_EQ(Rosenbrock(outcome.point, &gradient), outcome.value);
}

TEST(LbfgsTest, TheSameStartGivesTheSameBytes) {
  EXPECT_EQ(Minimise(Rosenbrock, Point(10, 0.5)).point,
            Minimise(Rosenbrock, Point(10, 0.5)).point);
}

TEST(LbfgsTest, GivesUpWhereTheGradientPointsTheWrongWay) {
  const Function wrong = [](const Point& x, Point* gradient) {
    (*gradient)[0] = -2 * x[0];
    return x[0] * x[0];
  };
  const Outcome outcome = Minimise(wrong, {3});
  EXPECT_EQ(outcome.end, Lbfgs::End::kNoStep);
  EXPECT_EQ(outcome.point, Point{3});
}

// f(a) = -a / (a^2 + 2), the first test function of More and Thuente (1994),
// from first steps too short and too long by a thousand.
TEST(WolfeSearchTest, MeetsBothConditions) {
  const auto value = [](double a) { return -a / (a * a + 2); };
  const auto slope = [](double a) {
    return (a * a - 2) / ((a * a + 2) * (a * a + 2));
  };
  for (const double first : {1e-3, 0.1, 1.0, 10.0, 1e3}) {
    WolfeSearch search(0, slope(0), first);
    int trials = 0;
    while (search.state() == WolfeSearch::State::kSearching) {
      search.Tell(value(search.step()), slope(search.step()));
      ++trials;
    }
    ASSERT_EQ(search.state(), WolfeSearch::State::kFound) << first;
    EXPECT_LE(value(search.step()), 1e-4 * search.step() * slope(0));
    EXPECT_LE(std::abs(slope(search.step())), 0.9 * std::abs(slope(0)));
    EXPECT_LE(trials, 15) << first;
  }
}

// The wall of -log(1 - a) - 3a ... at a = 1 is no value at all.
TEST(WolfeSearchTest, TakesAMissingValueForAStepTooFar) {
  const auto value = [](double a) {
    return a < 1 ? -std::log(1 - a) - 3 * a
                 : std::numeric_limits<double>::quiet_NaN();
  };
  WolfeSearch search(0, -2, 40);
  while (search.state() == WolfeSearch::State::kSearching) {
    search.Tell(value(search.step()), 1 / (1 - search.step()) - 3);
  }
  EXPECT_EQ(search.state(), WolfeSearch::State::kFound);
  EXPECT_LT(value(search.step()), 0);
}

TEST(WolfeSearchTest, FailsWhereThereIsNoBottom) {
  WolfeSearch search(0, -1, 1);
  while (search.state() == WolfeSearch::State::kSearching) {
    search.Tell(-search.step(), -1);
  }
  EXPECT_EQ(search.state(), WolfeSearch::State::kFailed);
}

}  // namespace
}  // namespace promptd::learners

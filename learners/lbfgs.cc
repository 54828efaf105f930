#include "learners/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/check.h"

namespace promptd::learners {
namespace {

double Dot(const at::Tensor& a, const at::Tensor& b) {
  return a.dot(b).item<double>();
}

}  // namespace

Lbfgs::Lbfgs(const at::Tensor& start, const LbfgsOptions& options)
    : options_(options), point_(start.clone()), base_(point_) {
  PROMPTD_CHECK(start.dim() == 1 && start.scalar_type() == at::kDouble);
}

void Lbfgs::Tell(double value, const at::Tensor& gradient) {
  PROMPTD_CHECK(!done());
  if (!started_) {
    started_ = true;
    Accept(value, gradient);
    return;
  }
  search_->Tell(value, Dot(gradient, direction_));
  switch (search_->state()) {
    case WolfeSearch::State::kSearching:
      point_ = base_.add(direction_, search_->step());
      return;
    case WolfeSearch::State::kFailed:
      GiveUpOrDescend();
      return;
    case WolfeSearch::State::kFound:
      break;
  }
  Pair pair{point_.sub(base_), gradient.sub(gradient_)};
  const double curvature = Dot(pair.step, pair.change);
  if (curvature > 0) {
    pair.rho = 1 / curvature;
    pairs_.push_back(std::move(pair));
    if (pairs_.size() > static_cast<size_t>(options_.history)) {
      pairs_.pop_front();
    }
  }
  ++iterations_;
  const double gain = value_ - value;
  const double size = std::max({std::abs(value_), std::abs(value), 1.0});
  Accept(value, gradient);
  if (!done() && gain <= options_.decrease_tolerance * size) {
    end_ = End::kDecrease;
    point_ = base_;
  }
}

void Lbfgs::Accept(double value, const at::Tensor& gradient) {
  base_ = point_;
  value_ = value;
  gradient_ = gradient.clone();
  const double largest = gradient_.abs().max().item<double>();
  if (largest <= options_.gradient_tolerance) {
    end_ = End::kGradient;
  } else if (iterations_ >= options_.max_iterations) {
    end_ = End::kIterations;
  } else {
    direction_ = Direction();
    StartSearch();
  }
}

void Lbfgs::StartSearch() {
  const double slope = Dot(gradient_, direction_);
  if (!(slope < 0)) {
    GiveUpOrDescend();
    return;
  }
  double first = 1;
  if (pairs_.empty()) {
    first = std::min(1.0, 1 / gradient_.abs().sum().item<double>());
  }
  search_.emplace(value_, slope, first);
  point_ = base_.add(direction_, first);
}

void Lbfgs::GiveUpOrDescend() {
  point_ = base_;
  if (pairs_.empty()) {
    end_ = End::kNoStep;
    return;
  }
  pairs_.clear();
  direction_ = gradient_.neg();
  StartSearch();
}

at::Tensor Lbfgs::Direction() const {
  at::Tensor q = gradient_.neg();
  if (pairs_.empty()) return q;
  std::vector<double> alphas(pairs_.size());
  for (size_t i = pairs_.size(); i-- > 0;) {
    const Pair& pair = pairs_[i];
    alphas[i] = pair.rho * Dot(pair.step, q);
    q.add_(pair.change, -alphas[i]);
  }
  const Pair& last = pairs_.back();
  q.mul_(1 / (last.rho * Dot(last.change, last.change)));
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Pair& pair = pairs_[i];
    q.add_(pair.step, alphas[i] - pair.rho * Dot(pair.change, q));
  }
  return q;
}

}  // namespace promptd::learners

#include "learners/logistic_fit.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/check.h"
#include "common/error.h"

namespace promptd::learners {
namespace {

// Multiplications of a unit. A processor serves requests between units.
constexpr int64_t kUnitOnProcessor = int64_t{1} << 27;
constexpr int64_t kUnitElsewhere = int64_t{1} << 34;
// A logit's softmax, in multiplications.
constexpr int64_t kSoftmaxCost = 64;
// What an evaluation costs besides: a constant, and L-BFGS's vectors.
constexpr int64_t kEvaluationCost = int64_t{1} << 23;
constexpr int64_t kVectorCost = 64;

at::Tensor Start(const LogisticProblem& problem) {
  const int64_t width =
      problem.features.defined() ? problem.features.size(1) : 0;
  return at::zeros({problem.classes * (width + 1)},
                   problem.labels.options().dtype(at::kDouble));
}

double GradientTolerance(const LogisticProblem& problem) {
  if (problem.gradient_tolerance > 0) return problem.gradient_tolerance;
  const double penalty = 1 / (problem.inverse_regularization *
                              static_cast<double>(problem.labels.size(0)));
  return std::min(1e-8, 1e-4 * penalty);
}

}  // namespace

LogisticFit::LogisticFit(LogisticProblem problem, int64_t unit_multiplications)
    : problem_(std::move(problem)),
      lbfgs_(Start(problem_),
             {.gradient_tolerance = GradientTolerance(problem_)}) {
  row_cost_ = problem_.classes * (2 * width() + kSoftmaxCost);
  budget_ = unit_multiplications;
  if (budget_ == 0) {
    budget_ = problem_.labels.is_cpu() ? kUnitOnProcessor : kUnitElsewhere;
  }
  rows_per_chunk_ = std::max<int64_t>(1, budget_ / row_cost_);
}

int64_t LogisticFit::width() const {
  return problem_.features.defined() ? problem_.features.size(1) : 0;
}

double LogisticFit::WeightPenalty() const {
  return problem_.classes == 2 ? 2 : 1;
}

at::Tensor LogisticFit::WeightsOf(const at::Tensor& point) const {
  return point.narrow(0, 0, problem_.classes * width())
      .view({problem_.classes, width()});
}

at::Tensor LogisticFit::BiasOf(const at::Tensor& point) const {
  return point.narrow(0, problem_.classes * width(), problem_.classes);
}

at::Tensor LogisticFit::Logits(const at::Tensor& point, int64_t first,
                               int64_t rows) const {
  at::Tensor logits = BiasOf(point).expand({rows, problem_.classes});
  if (problem_.offset.defined()) {
    logits = logits.add(problem_.offset.narrow(0, first, rows));
  }
  if (problem_.features.defined()) {
    logits = logits.add(
        problem_.features.narrow(0, first, rows).mm(WeightsOf(point).t()));
  }
  return logits;
}

absl::Status LogisticFit::RunUnit() {
  PROMPTD_CHECK(!done());
  for (int64_t spent = 0; !done();) {
    const int64_t rows = std::min(rows_per_chunk_, images() - next_row_);
    if (spent > 0 && spent + rows * row_cost_ > budget_) break;
    AddChunk(rows);
    spent += rows * row_cost_;
    if (next_row_ < images()) continue;
    const absl::Status finished = FinishEvaluation();
    if (!finished.ok()) return finished;
    spent += kEvaluationCost + kVectorCost * lbfgs_.point().numel();
  }
  return absl::OkStatus();
}

void LogisticFit::AddChunk(int64_t rows) {
  const int64_t first = next_row_;
  if (first == 0) {
    const at::Tensor zeros = lbfgs_.point().new_zeros(lbfgs_.point().sizes());
    loss_sum_ = lbfgs_.point().new_zeros({});
    d_weights_sum_ = WeightsOf(zeros);
    d_bias_sum_ = BiasOf(zeros);
  }
  const at::Tensor log_probabilities =
      Logits(lbfgs_.point(), first, rows).log_softmax(1);
  const at::Tensor column =
      problem_.labels.narrow(0, first, rows).unsqueeze(1);  // [rows, 1]
  loss_sum_.sub_(log_probabilities.gather(1, column).sum());
  at::Tensor d_logits = log_probabilities.exp();
  d_logits.scatter_(1, column, d_logits.gather(1, column).sub(1));
  d_bias_sum_.add_(d_logits.sum(0));
  if (problem_.features.defined()) {
    d_weights_sum_.add_(
        d_logits.t().mm(problem_.features.narrow(0, first, rows)));
  }
  next_row_ += rows;
}

absl::Status LogisticFit::FinishEvaluation() {
  next_row_ = 0;
  const double count = static_cast<double>(images());
  // Of F / (C N).
  const double weight_penalty =
      WeightPenalty() / (problem_.inverse_regularization * count);
  const double bias_penalty =
      problem_.bias_penalty / (problem_.inverse_regularization * count);
  const at::Tensor weights = WeightsOf(lbfgs_.point());
  const at::Tensor bias = BiasOf(lbfgs_.point());
  const at::Tensor value = loss_sum_.div(count)
                               .add(weights.square().sum(), weight_penalty / 2)
                               .add(bias.square().sum(), bias_penalty / 2);
  const at::Tensor gradient =
      at::cat({d_weights_sum_.div(count).add(weights, weight_penalty).flatten(),
               d_bias_sum_.div(count).add(bias, bias_penalty)});
  const double number = value.item<double>();
  if (lbfgs_.iterations() == 0 && !std::isfinite(number)) {
    return MakeError(absl::StatusCode::kOutOfRange, "NON_FINITE_LOSS",
                     "the loss is not finite before the first step: the image "
                     "features are not, look at the encoder's weights");
  }
  lbfgs_.Tell(number, gradient);
  return absl::OkStatus();
}

double LogisticFit::objective() const {
  return lbfgs_.value() * problem_.inverse_regularization *
         static_cast<double>(images());
}

double LogisticFit::mean_loss() const {
  const double scale =
      problem_.inverse_regularization * static_cast<double>(images());
  double penalty = BiasOf(lbfgs_.point()).square().sum().item<double>() *
                   problem_.bias_penalty / 2;
  if (problem_.features.defined()) {
    penalty += WeightsOf(lbfgs_.point()).square().sum().item<double>() *
               WeightPenalty() / 2;
  }
  return lbfgs_.value() - penalty / scale;
}

double LogisticFit::accuracy() const {
  int64_t correct = 0;
  for (int64_t first = 0; first < images(); first += rows_per_chunk_) {
    const int64_t rows = std::min(rows_per_chunk_, images() - first);
    correct += Logits(lbfgs_.point(), first, rows)
                   .argmax(1)
                   .eq(problem_.labels.narrow(0, first, rows))
                   .sum()
                   .item<int64_t>();
  }
  return static_cast<double>(correct) / static_cast<double>(images());
}

at::Tensor LogisticFit::weights() const {
  return problem_.features.defined() ? WeightsOf(lbfgs_.point()) : at::Tensor();
}

at::Tensor LogisticFit::bias() const { return BiasOf(lbfgs_.point()); }

}  // namespace promptd::learners

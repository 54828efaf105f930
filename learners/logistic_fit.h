// Multinomial logistic regression to its optimum, in bounded units.
//
//   LogisticFit fit(problem);
//   while (!fit.done()) RETURN_IF_ERROR(fit.RunUnit());
//   fit.weights();  // [C, E]
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "learners/lbfgs.h"

namespace promptd::learners {

// Over W [C, E] and b [C], the objective
//   F = C * sum_i CE(z_i, label_i) + |W|^2 / 2 + bias_penalty * |b|^2 / 2,
//   z_i = W features_i + b + offset_i
// is what scikit-learn's LogisticRegression(C) minimises when bias_penalty is
// 0 and there is no offset. Two classes are one vector w there, w = W_1 - W_0;
// with |W|^2 in place of |W|^2 / 2 the optima agree, W_1 = -W_0 = w / 2.
struct LogisticProblem {
  at::Tensor features;  // [N, E] float64; undefined: only b is learned
  at::Tensor offset;    // [N, C] float64; undefined: none
  at::Tensor labels;    // [N] int64
  int64_t classes = 0;
  double inverse_regularization = 1;  // C
  double bias_penalty = 0;
  // Of F / (C N): the fit ends where no component of its gradient is larger.
  // 0: at the optimum.
  double gradient_tolerance = 0;
};

// L-BFGS from zero on F / (C N), which is the mean cross-entropy and a penalty
// of weight l = 1 / (C N). Unless the problem says otherwise, it ends where no
// component of the gradient is larger than the smaller of 1e-8 and l / 10^4:
// what l alone holds is then known to about 1e-4. Or where rounding hides what
// is left. Images go through in chunks whose size depends on the problem and
// the kind of device alone: the same bytes each time. Float64 throughout; on
// the device of the labels, and its thread. Throws c10::Error.
class LogisticFit {
 public:
  // `unit_multiplications` bounds a unit; 0: as much as suits the device.
  explicit LogisticFit(LogisticProblem problem,
                       int64_t unit_multiplications = 0);

  bool done() const { return lbfgs_.done(); }
  // A chunk of images, or several evaluations when they are small.
  // OUT_OF_RANGE (NON_FINITE_LOSS) when the features are not finite.
  absl::Status RunUnit();

  // Of the last accepted point: when done, the optimum.
  double objective() const;    // F
  double mean_loss() const;    // the mean cross-entropy
  double accuracy() const;     // 0..1, on the images; waits for the device
  at::Tensor weights() const;  // [C, E]; undefined without features
  at::Tensor bias() const;     // [C]
  const Lbfgs& lbfgs() const { return lbfgs_; }

 private:
  at::Tensor WeightsOf(const at::Tensor& point) const;
  at::Tensor BiasOf(const at::Tensor& point) const;
  // [rows, C] of the images first .. first + rows - 1.
  at::Tensor Logits(const at::Tensor& point, int64_t first, int64_t rows) const;
  int64_t images() const { return problem_.labels.size(0); }
  int64_t width() const;
  double WeightPenalty() const;
  void AddChunk(int64_t rows);
  absl::Status FinishEvaluation();

  const LogisticProblem problem_;
  Lbfgs lbfgs_;
  int64_t row_cost_ = 1;  // in multiplications
  int64_t budget_ = 1;    // of a unit
  int64_t rows_per_chunk_ = 1;
  // An evaluation under way.
  int64_t next_row_ = 0;
  at::Tensor loss_sum_;                    // []
  at::Tensor d_weights_sum_, d_bias_sum_;  // [C, E], [C]
};

}  // namespace promptd::learners

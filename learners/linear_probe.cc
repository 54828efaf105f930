#include "learners/linear_probe.h"

#include <ATen/core/Tensor.h>

#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/text_tower.h"
#include "clip/torch_status.h"
#include "common/check.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "learners/checkpoint_metadata.h"
#include "learners/fit_checkpoint.h"
#include "learners/labelled_check.h"
#include "learners/logistic_fit.h"
#include "learners/regularization_search.h"
#include "learners/tensor_convert.h"

namespace promptd::learners {
namespace {

// Of the fits that a C is chosen by: where scikit-learn's default stops, as in
// the protocol. The chosen one is then fitted to its optimum.
constexpr double kSearchTolerance = 1e-5;

class LinearProbe final : public Learner {
 public:
  LinearProbe(const clip::Encoder& encoder, const TrainerSpec& spec,
              const TrainingData& data);

  bool done() const override { return final_.has_value(); }
  const LearnerProgress& progress() const override { return progress_; }
  absl::Status RunUnit() override {
    PROMPTD_CHECK(!done());
    return clip::Guarded("fit a linear probe", [this] { return Step(); });
  }
  absl::StatusOr<std::string> SaveCheckpoint() const override {
    return WriteFitCheckpoint(
        {identity_, search_.scored(), progress_.loss, progress_.accuracy});
  }
  absl::Status Restore(const std::string& checkpoint) override;
  absl::StatusOr<Learned> Result() override;

 private:
  struct Weights {
    at::Tensor weights, bias;  // [C, E], [C] float64
  };

  bool fixed() const { return fixed_c_ > 0; }
  bool searched() const { return fixed() || search_.done(); }
  // log10 of C, once searched.
  double chosen() const {
    return fixed() ? std::log10(fixed_c_) : search_.chosen();
  }
  absl::Status Step();
  void StartFit();
  void FinishFit();

  const std::string identity_;
  const double fixed_c_;  // 0: chosen
  LogisticProblem problem_;
  at::Tensor validation_images_;  // [V, E] float64; undefined with a fixed C
  at::Tensor validation_labels_;
  RegularizationSearch search_;
  std::optional<LogisticFit> fit_;  // under way
  std::optional<Weights> final_;    // with the chosen C
  LearnerProgress progress_;
};

LinearProbe::LinearProbe(const clip::Encoder& encoder, const TrainerSpec& spec,
                         const TrainingData& data)
    : identity_(TrainingIdentity(spec, encoder.digest(), data)),
      fixed_c_(spec.inverse_regularization) {
  const at::Tensor& like = encoder.text_tower()->token_embedding();
  problem_.features = ToTensor(data.features, like).to(at::kDouble);
  problem_.labels = ToLabelTensor(data.labels, like);
  problem_.classes = static_cast<int64_t>(data.class_names.size());
  progress_.steps = fixed() ? 1 : RegularizationSearch::kFits + 1;
  if (fixed()) return;
  validation_images_ = ToTensor(data.validation_features, like).to(at::kDouble);
  validation_labels_ = ToLabelTensor(data.validation_labels, like);
}

absl::Status LinearProbe::Step() {
  if (!fit_.has_value()) StartFit();
  RETURN_IF_ERROR(fit_->RunUnit());
  if (fit_->done()) FinishFit();
  return absl::OkStatus();
}

void LinearProbe::StartFit() {
  LogisticProblem problem = problem_;
  if (fixed()) {
    problem.inverse_regularization = fixed_c_;
  } else {
    problem.inverse_regularization =
        std::pow(10.0, searched() ? chosen() : search_.next());
    if (!searched()) problem.gradient_tolerance = kSearchTolerance;
  }
  fit_.emplace(std::move(problem));
}

void LinearProbe::FinishFit() {
  Weights weights{fit_->weights().clone(), fit_->bias().clone()};
  progress_.loss = fit_->mean_loss();
  progress_.accuracy = fit_->accuracy();
  ++progress_.step;
  fit_.reset();
  if (searched()) {
    final_ = std::move(weights);
    return;
  }
  search_.Tell(validation_images_.mm(weights.weights.t())
                   .add(weights.bias)
                   .argmax(1)
                   .eq(validation_labels_)
                   .sum()
                   .item<int64_t>());
}

absl::Status LinearProbe::Restore(const std::string& checkpoint) {
  ASSIGN_OR_RETURN(const FitCheckpoint content,
                   ReadFitCheckpoint(checkpoint, identity_));
  if (content.scored.size() >
      (fixed() ? 0u : size_t{RegularizationSearch::kFits})) {
    return BadCheckpoint("bad scored");
  }
  search_ = RegularizationSearch();
  for (const int64_t correct : content.scored) search_.Tell(correct);
  final_.reset();
  fit_.reset();
  progress_.step = static_cast<int64_t>(content.scored.size());
  progress_.loss = content.loss;
  progress_.accuracy = content.accuracy;
  return absl::OkStatus();
}

absl::StatusOr<Learned> LinearProbe::Result() {
  PROMPTD_CHECK(done());
  return clip::Guarded("read the linear probe", [this] {
    const Weights& weights = *final_;
    Learned learned;
    learned.head.weights = clip::ToFloatTensor(weights.weights.to(at::kFloat));
    learned.head.bias = clip::ToFloatTensor(weights.bias.to(at::kFloat));
    learned.head.cosine = false;
    if (!fixed()) {
      learned.chosen =
          Chosen{.inverse_regularization = std::pow(10.0, chosen()),
                 .validation_accuracy =
                     static_cast<double>(search_.chosen_correct()) /
                     static_cast<double>(validation_labels_.size(0))};
    }
    return learned;
  });
}

absl::Status CheckProbeData(const TrainerSpec& spec, const TrainingData& data,
                            int embed_dim) {
  const double c = spec.inverse_regularization;
  if (!std::isfinite(c) || c < 0) {
    return InvalidFields("BAD_TRAINER_SPEC",
                         {{"inverse_regularization",
                           "must be a positive number, or 0 to choose it"}});
  }
  const int classes = static_cast<int>(data.class_names.size());
  RETURN_IF_ERROR(CheckLabelled(data.features.shape, data.labels, classes,
                                embed_dim, "a linear probe"));
  // Its bias would fall without end.
  const std::set<int> present(data.labels.begin(), data.labels.end());
  for (int label = 0; label < classes; ++label) {
    if (present.contains(label)) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TRAINING_DATA",
                     absl::StrCat("class \"", data.class_names[label],
                                  "\" has no training image: a linear probe "
                                  "needs one of every class"));
  }
  if (c > 0) return absl::OkStatus();
  if (data.validation_labels.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_VALIDATION_IMAGES",
                     "there are no validation images to choose the linear "
                     "probe's regularization by: push the dataset again with a "
                     "val/ folder, or set inverse_regularization");
  }
  return CheckLabelled(data.validation_features.shape, data.validation_labels,
                       classes, embed_dim, "the choice of a regularization");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> MakeLinearProbe(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  RETURN_IF_ERROR(CheckProbeData(spec, data, encoder->config().embed_dim));
  return clip::Guarded("start a linear probe", [&] {
    return std::unique_ptr<Learner>(
        std::make_unique<LinearProbe>(*encoder, spec, data));
  });
}

}  // namespace promptd::learners

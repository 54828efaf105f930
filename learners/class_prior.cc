#include "learners/class_prior.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/torch_status.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "learners/cosine_loss.h"
#include "learners/fit_checkpoint.h"
#include "learners/labelled_check.h"
#include "learners/logistic_fit.h"
#include "learners/tensor_convert.h"
#include "learners/text_ensemble.h"

namespace promptd::learners {
namespace {

class ClassPrior final : public Learner {
 public:
  ClassPrior(TextEnsemble texts, TrainingData data, double scale,
             std::string identity)
      : texts_(std::move(texts)),
        data_(std::move(data)),
        scale_(scale),
        identity_(std::move(identity)) {
    progress_.steps = 1;
  }

  bool done() const override { return progress_.step == progress_.steps; }
  const LearnerProgress& progress() const override { return progress_; }
  absl::Status RunUnit() override {
    PROMPTD_CHECK(!done());
    return clip::Guarded("learn class biases", [this] { return Step(); });
  }

  absl::StatusOr<std::string> SaveCheckpoint() const override {
    return WriteFitCheckpoint({identity_});
  }
  // The one fit runs again.
  absl::Status Restore(const std::string& checkpoint) override {
    return ReadFitCheckpoint(checkpoint, identity_).status();
  }

  absl::StatusOr<Learned> Result() override {
    PROMPTD_CHECK(done());
    return clip::Guarded("read the class biases", [this] {
      Learned learned;
      learned.head.weights = clip::ToFloatTensor(texts_.features());
      learned.head.bias = clip::ToFloatTensor(fit_->bias().to(at::kFloat));
      return learned;
    });
  }

 private:
  absl::Status Step() {
    if (!texts_.done()) return texts_.RunUnit();
    if (!fit_.has_value()) {
      PrepareFit();
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(fit_->RunUnit());
    if (!fit_->done()) return absl::OkStatus();
    progress_.loss = fit_->mean_loss();
    progress_.accuracy = fit_->accuracy();
    progress_.step = 1;
    return absl::OkStatus();
  }

  void PrepareFit() {
    const at::Tensor& text = texts_.features();
    const at::Tensor images =
        UnitRows(ToTensor(data_.features, text).to(at::kDouble));
    LogisticProblem problem;
    problem.offset = images.mm(text.to(at::kDouble).t()).mul_(scale_);
    problem.labels = ToLabelTensor(data_.labels, text);
    problem.classes = text.size(0);
    problem.bias_penalty = kPriorPenalty;
    fit_.emplace(std::move(problem));
  }

  TextEnsemble texts_;
  const TrainingData data_;
  const double scale_;
  const std::string identity_;
  std::optional<LogisticFit> fit_;  // once the texts are done
  LearnerProgress progress_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> MakeClassPrior(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  RETURN_IF_ERROR(CheckLabelled(data.features.shape, data.labels,
                                static_cast<int>(data.class_names.size()),
                                encoder->config().embed_dim, "a class prior"));
  std::string identity = TrainingIdentity(spec, encoder->digest(), data);
  const double scale = encoder->logit_scale();
  ASSIGN_OR_RETURN(TextEnsemble texts,
                   TextEnsemble::Create(std::move(encoder), data.class_names,
                                        spec.text_templates));
  return std::make_unique<ClassPrior>(std::move(texts), std::move(data), scale,
                                      std::move(identity));
}

}  // namespace promptd::learners

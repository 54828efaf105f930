#include "learners/image_tuning.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/image_tower.h"
#include "clip/torch_status.h"
#include "clip/trainable_image_tower.h"
#include "common/check.h"
#include "common/error.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "learners/checkpoint_metadata.h"
#include "learners/cosine_loss.h"
#include "learners/epochs.h"
#include "learners/labelled_check.h"
#include "learners/tensor_convert.h"
#include "learners/text_ensemble.h"

namespace promptd::learners {
namespace {

// Multiply-adds of a forward pass in one unit; the backward costs twice that.
constexpr int64_t kUnitMultiplyAdds = int64_t{8} << 30;

at::Tensor Flat(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  rows.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) {
    rows.push_back(tensor.detach().flatten());
  }
  return at::cat(rows);
}

void Unflatten(const at::Tensor& flat, const std::vector<at::Tensor>& tensors) {
  int64_t first = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.detach().copy_(
        flat.narrow(0, first, tensor.numel()).view(tensor.sizes()));
    first += tensor.numel();
  }
}

class ImageTuning final : public Learner {
 public:
  ImageTuning(std::shared_ptr<const clip::Encoder> encoder,
              const TrainerSpec& spec, const TrainingData& data,
              TextEnsemble texts,
              std::unique_ptr<clip::TrainableImageTower> tower);

  bool done() const override { return epochs_.done(); }
  const LearnerProgress& progress() const override {
    return epochs_.progress();
  }
  std::optional<PixelRequest> NeedsPixels() const override;
  absl::Status SetPixels(const FloatTensor& pixels) override;
  absl::Status RunUnit() override {
    PROMPTD_CHECK(!done() && !NeedsPixels());
    return clip::Guarded("training step", [this] { return Step(); });
  }
  absl::StatusOr<std::string> SaveCheckpoint() const override;
  absl::Status Restore(const std::string& checkpoint) override;
  // The texts, where a finished training was restored.
  int64_t head_units() const override {
    return texts_.units() - texts_.next_unit();
  }
  absl::Status RunHeadUnit() override {
    return clip::Guarded("text features", [this] { return texts_.RunUnit(); });
  }
  absl::StatusOr<Learned> Result() override;

 private:
  absl::Status Step();
  // A part of the batch: its share of the loss and of the gradients.
  void Accumulate();
  absl::Status ApplyGradients();
  // Forgets a step that is under way.
  void DropStep();

  const std::shared_ptr<const clip::Encoder> encoder_;
  const TrainerSpec spec_;
  const std::string identity_;
  TextEnsemble texts_;
  const std::unique_ptr<clip::TrainableImageTower> tower_;
  std::vector<at::Tensor> momentum_;  // of the parameters
  at::Tensor labels_;                 // [N] int64
  int64_t part_ = 1;                  // images of a unit
  Epochs epochs_;

  // The step under way.
  std::vector<int64_t> batch_;  // its images, once begun
  int64_t seen_ = 0;            // of them
  at::Tensor pixels_;           // of the next part, once set
  double loss_ = 0;
  int64_t correct_ = 0;
};

ImageTuning::ImageTuning(std::shared_ptr<const clip::Encoder> encoder,
                         const TrainerSpec& spec, const TrainingData& data,
                         TextEnsemble texts,
                         std::unique_ptr<clip::TrainableImageTower> tower)
    : encoder_(std::move(encoder)),
      spec_(spec),
      identity_(TrainingIdentity(spec, encoder_->digest(), data)),
      texts_(std::move(texts)),
      tower_(std::move(tower)),
      labels_(ToLabelTensor(data.labels, tower_->parameters().front())),
      part_(std::max<int64_t>(
          1, kUnitMultiplyAdds / encoder_->image_tower().multiply_adds())),
      epochs_(spec, static_cast<int64_t>(data.labels.size()),
              Random(static_cast<uint64_t>(spec.seed)).State()) {
  for (const at::Tensor& parameter : tower_->parameters()) {
    momentum_.push_back(parameter.detach().new_zeros(parameter.sizes()));
  }
}

std::optional<PixelRequest> ImageTuning::NeedsPixels() const {
  if (batch_.empty() || pixels_.defined()) return std::nullopt;
  const auto first = batch_.begin() + seen_;
  PixelRequest request;
  request.rows.assign(first,
                      first + std::min<int64_t>(part_, batch_.end() - first));
  if (spec_.views != 1) request.view = epochs_.view();
  return request;
}

absl::Status ImageTuning::SetPixels(const FloatTensor& pixels) {
  const std::optional<PixelRequest> asked = NeedsPixels();
  PROMPTD_CHECK(asked.has_value());
  const int64_t side = encoder_->config().vision.image_size;
  const std::vector<int64_t> shape = {static_cast<int64_t>(asked->rows.size()),
                                      3, side, side};
  if (pixels.shape != shape) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_TRAINING_DATA",
        absl::StrCat("pixels are [", absl::StrJoin(pixels.shape, ", "),
                     "], training needs [", absl::StrJoin(shape, ", "), "]"));
  }
  return clip::Guarded("take pixels", [&] {
    pixels_ = ToTensor(pixels, momentum_.front());
    return absl::OkStatus();
  });
}

absl::Status ImageTuning::Step() {
  if (!texts_.done()) return texts_.RunUnit();
  if (batch_.empty()) {
    epochs_.Begin();
    batch_ = epochs_.Batch();
    return absl::OkStatus();
  }
  Accumulate();
  if (seen_ < static_cast<int64_t>(batch_.size())) return absl::OkStatus();
  const absl::Status applied = ApplyGradients();
  DropStep();
  return applied;
}

// CoOp's CustomCLIP.forward with F.cross_entropy, reduction "sum", over B.
void ImageTuning::Accumulate() {
  const at::AutoGradMode learns(true);
  const int64_t count = pixels_.size(0);
  const auto first = batch_.begin() + seen_;
  const at::Tensor labels =
      labels_.index_select(0, ToIndexTensor({first, first + count}, labels_));
  const at::Tensor images = UnitRows(tower_->Forward(pixels_));  // [n, E]
  const at::Tensor logits =
      images.mm(texts_.features().t()).mul(encoder_->logit_scale());
  const at::Tensor loss = logits.log_softmax(1)
                              .gather(1, labels.unsqueeze(1))
                              .sum()
                              .div(-static_cast<double>(batch_.size()));
  loss.backward();
  loss_ += loss.item<double>();
  correct_ += logits.argmax(1).eq(labels).sum().item<int64_t>();
  seen_ += count;
  pixels_ = at::Tensor();
}

absl::Status ImageTuning::ApplyGradients() {
  if (!std::isfinite(loss_)) return epochs_.NotFinite("loss");
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor>& parameters = tower_->parameters();
  std::vector<at::Tensor> next_parameters, next_momentum;
  at::Tensor finite;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor gradient =
        parameters[i].grad().add(parameters[i], spec_.weight_decay);
    next_momentum.push_back(momentum_[i].mul(spec_.momentum).add_(gradient));
    next_parameters.push_back(parameters[i].add(
        next_momentum.back(), -epochs_.progress().learning_rate));
    const at::Tensor here = next_parameters.back().isfinite().all();
    finite = finite.defined() ? finite.logical_and(here) : here;
  }
  if (!finite.item<bool>()) return epochs_.NotFinite("image tower");
  // Not before: a step that fails leaves the last good state, to be saved.
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].detach().copy_(next_parameters[i]);
  }
  momentum_ = std::move(next_momentum);
  epochs_.FinishStep(loss_, correct_);
  return absl::OkStatus();
}

void ImageTuning::DropStep() {
  for (const at::Tensor& parameter : tower_->parameters()) {
    parameter.mutable_grad() = at::Tensor();
  }
  batch_.clear();
  seen_ = 0;
  pixels_ = at::Tensor();
  loss_ = 0;
  correct_ = 0;
}

absl::StatusOr<std::string> ImageTuning::SaveCheckpoint() const {
  return clip::Guarded("save a checkpoint", [this] {
    CheckpointContent content;
    content.identity = identity_;
    content.parameter = clip::ToFloatTensor(Flat(tower_->parameters()));
    content.momentum = clip::ToFloatTensor(Flat(momentum_));
    epochs_.Save(&content);
    return WriteCheckpoint(content);
  });
}

absl::Status ImageTuning::Restore(const std::string& checkpoint) {
  ASSIGN_OR_RETURN(const CheckpointContent content, ReadCheckpoint(checkpoint));
  int64_t numbers = 0;
  for (const at::Tensor& tensor : momentum_) numbers += tensor.numel();
  if (content.identity != identity_ || !epochs_.Fits(content) ||
      content.parameter.shape != std::vector<int64_t>{numbers}) {
    return CheckpointOfAnotherJob();
  }
  return clip::Guarded("restore a checkpoint", [&] {
    Unflatten(ToTensor(content.parameter, momentum_.front()),
              tower_->parameters());
    Unflatten(ToTensor(content.momentum, momentum_.front()), momentum_);
    epochs_.Restore(content);
    DropStep();
    return absl::OkStatus();
  });
}

absl::StatusOr<Learned> ImageTuning::Result() {
  PROMPTD_CHECK(done());
  while (head_units() > 0) RETURN_IF_ERROR(RunHeadUnit());
  return clip::Guarded("read the image tower", [this] {
    Learned learned;
    learned.head.weights = clip::ToFloatTensor(texts_.features());
    learned.parameters = tower_->Tensors();
    return learned;
  });
}

absl::Status Check(const TrainerSpec& spec, const TrainingData& data,
                   int embed_dim) {
  RETURN_IF_ERROR(Epochs::CheckSpec(spec));
  std::vector<FieldViolation> bad;
  if (spec.epochs < 1) bad.push_back({"epochs", "must be at least 1"});
  if (spec.selection != Selection::kLastStep) {
    bad.push_back({"selection",
                   "must be last_step: the tower of every epoch would have to "
                   "encode the validation images"});
  }
  if (!bad.empty()) return InvalidFields("BAD_TRAINER_SPEC", bad);
  return CheckLabelled({static_cast<int64_t>(data.labels.size()), embed_dim},
                       data.labels, static_cast<int>(data.class_names.size()),
                       embed_dim, "training");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> MakeImageTuning(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  RETURN_IF_ERROR(Check(spec, data, encoder->config().embed_dim));
  PROMPTD_CHECK(data.encoder_folder != nullptr);
  ASSIGN_OR_RETURN(
      TextEnsemble texts,
      TextEnsemble::Create(encoder, data.class_names, spec.text_templates));
  ASSIGN_OR_RETURN(auto tower, clip::TrainableImageTower::Load(
                                   *data.encoder_folder, encoder->device()));
  return clip::Guarded("start fine-tuning", [&] {
    return std::unique_ptr<Learner>(std::make_unique<ImageTuning>(
        std::move(encoder), spec, data, std::move(texts), std::move(tower)));
  });
}

}  // namespace promptd::learners

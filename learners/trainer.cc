#include "learners/trainer.h"

#include <cmath>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/torch_status.h"
#include "common/check.h"
#include "common/error.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "learners/checkpoint_metadata.h"
#include "learners/cosine_loss.h"
#include "learners/epochs.h"
#include "learners/labelled_check.h"
#include "learners/method.h"
#include "learners/tensor_convert.h"

namespace promptd::learners {

struct Trainer::State {
  std::shared_ptr<const clip::Encoder> encoder;
  TrainerSpec spec;
  std::unique_ptr<Method> method;
  std::string identity;  // of spec, encoder, classes and features
  at::Tensor images;     // [N, E], unit rows; of loaded_view if there are views
  std::optional<int> loaded_view;
  at::Tensor labels;             // [N] int64
  at::Tensor validation_images;  // [V, E], unit rows; with kBestValidation
  at::Tensor validation_labels;  // [V] int64
  std::optional<Epochs> epochs;

  at::Tensor parameter;
  at::Tensor momentum;
  at::Tensor best_parameter;  // once best.epoch > 0
  BestEpoch best;

  int64_t next_setup = 0;

  // A step under way: forward units, then backward units.
  int64_t next_forward = 0;
  int64_t next_backward = -1;
  CosineLoss loss;
  // Of the head: set-up units that no step needed, units of the text features.
  int64_t head_setup = 0;
  int64_t next_text = 0;

  bool trained() const { return epochs->done(); }
  // Whether the parameter that an epoch ended with has not been scored yet.
  bool ValidationDue() const {
    return spec.selection == Selection::kBestValidation &&
           best.validated < epochs->progress().epoch;
  }
  const at::Tensor& selected_parameter() const {
    return best.epoch > 0 ? best_parameter : parameter;
  }

  void TakeImages(const TrainingData& data);
  absl::Status RunUnit();
  absl::Status RunSetupUnit();
  absl::Status RunHeadUnit();
  void Validate();
  void ComputeLoss();
  absl::Status ApplyGradient();
};

namespace {

absl::Status CheckData(const TrainerSpec& spec, const TrainingData& data,
                       int embed_dim) {
  const int classes = static_cast<int>(data.class_names.size());
  std::vector<int64_t> shape = data.features.shape;
  // Views come one at a time; only the labels can be looked at now.
  if (spec.views != 1) {
    shape = {static_cast<int64_t>(data.labels.size()), embed_dim};
  }
  RETURN_IF_ERROR(
      CheckLabelled(shape, data.labels, classes, embed_dim, "training"));
  if (spec.selection != Selection::kBestValidation) return absl::OkStatus();
  return CheckLabelled(data.validation_features.shape, data.validation_labels,
                       classes, embed_dim, "selection by validation");
}

// Puts `context`, if there is one, in the place of the method's own start.
absl::Status StartFrom(const FloatTensor& context, at::Tensor* parameter) {
  if (context.shape.empty()) return absl::OkStatus();
  if (context.shape != parameter->sizes().vec()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_INITIAL_CONTEXT",
        absl::StrCat("the parameter to start from is [",
                     absl::StrJoin(context.shape, ", "),
                     "], this job learns one of [",
                     absl::StrJoin(parameter->sizes().vec(), ", "), "]"));
  }
  *parameter = ToTensor(context, *parameter);
  return absl::OkStatus();
}

}  // namespace

Trainer::Trainer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Trainer::~Trainer() = default;

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  RETURN_IF_ERROR(Epochs::CheckSpec(spec));
  if (spec.epochs > 0) {
    RETURN_IF_ERROR(CheckData(spec, data, encoder->config().embed_dim));
  }
  return clip::Guarded(
      "start training", [&]() -> absl::StatusOr<std::unique_ptr<Trainer>> {
        auto state = std::make_unique<State>();
        ASSIGN_OR_RETURN(state->method,
                         MakeMethod(spec.method, encoder,
                                    {spec.context_tokens, spec.context_init,
                                     spec.class_position, spec.class_specific,
                                     spec.text_templates},
                                    data.class_names));
        Random random(static_cast<uint64_t>(spec.seed));
        ASSIGN_OR_RETURN(state->parameter,
                         state->method->InitialParameter(&random));
        RETURN_IF_ERROR(StartFrom(data.initial_context, &state->parameter));
        state->momentum = state->parameter.new_zeros(state->parameter.sizes());
        state->identity = TrainingIdentity(spec, encoder->digest(), data);
        state->encoder = std::move(encoder);
        state->spec = spec;
        const auto rows = static_cast<int64_t>(data.labels.size());
        state->epochs.emplace(spec, spec.epochs > 0 ? rows : 0, random.State());
        if (spec.epochs > 0) state->TakeImages(data);
        return std::unique_ptr<Trainer>(new Trainer(std::move(state)));
      });
}

void Trainer::State::TakeImages(const TrainingData& data) {
  labels = ToLabelTensor(data.labels, parameter);
  if (spec.views == 1) images = UnitRows(ToTensor(data.features, parameter));
  if (spec.selection == Selection::kBestValidation) {
    validation_images = UnitRows(ToTensor(data.validation_features, parameter));
    validation_labels = ToLabelTensor(data.validation_labels, parameter);
  }
}

bool Trainer::done() const {
  return state_->trained() && !state_->ValidationDue();
}

const LearnerProgress& Trainer::progress() const {
  return state_->epochs->progress();
}

std::optional<SelectedEpoch> Trainer::selected() const {
  const BestEpoch& best = state_->best;
  if (best.epoch == 0) return std::nullopt;
  return SelectedEpoch{
      best.epoch, static_cast<double>(best.correct) /
                      static_cast<double>(state_->validation_labels.size(0))};
}

std::optional<int> Trainer::NeedsView() const {
  const State& state = *state_;
  if (state.spec.views == 1 || state.trained()) return std::nullopt;
  const int view = state.epochs->view();
  if (state.loaded_view == view) return std::nullopt;
  return view;
}

absl::Status Trainer::SetFeatures(int view, const FloatTensor& features) {
  PROMPTD_CHECK(NeedsView() == view);
  State& state = *state_;
  const std::vector<int64_t> shape = {state.labels.size(0),
                                      state.encoder->config().embed_dim};
  if (features.shape != shape) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_TRAINING_DATA",
        absl::StrCat("view ", view, " has features [",
                     absl::StrJoin(features.shape, ", "), "], training needs [",
                     absl::StrJoin(shape, ", "), "]"));
  }
  return clip::Guarded("take a view's features", [&] {
    state.images = UnitRows(ToTensor(features, state.parameter));
    state.loaded_view = view;
    return absl::OkStatus();
  });
}

absl::Status Trainer::RunUnit() {
  PROMPTD_CHECK(!done() && !NeedsView());
  return clip::Guarded("training step", [this] { return state_->RunUnit(); });
}

absl::Status Trainer::State::RunSetupUnit() {
  RETURN_IF_ERROR(method->RunSetupUnit());
  ++next_setup;
  return absl::OkStatus();
}

absl::Status Trainer::State::RunUnit() {
  if (next_setup < method->setup_units()) return RunSetupUnit();
  if (next_backward >= 0) {
    method->BackwardUnit(next_backward--, loss.d_text);
    return next_backward < 0 ? ApplyGradient() : absl::OkStatus();
  }
  if (next_forward == 0) {
    epochs->Begin();
    method->Begin(parameter);
  }
  method->ForwardUnit(next_forward++);
  if (next_forward < method->units()) return absl::OkStatus();
  next_forward = 0;
  if (ValidationDue()) Validate();
  if (trained()) return absl::OkStatus();
  ComputeLoss();
  next_backward = method->units() - 1;
  return absl::OkStatus();
}

absl::Status Trainer::State::RunHeadUnit() {
  PROMPTD_CHECK(next_forward == 0 && next_backward < 0);
  if (next_setup < method->setup_units()) {
    RETURN_IF_ERROR(RunSetupUnit());
    ++head_setup;
    return absl::OkStatus();
  }
  PROMPTD_CHECK(next_text < method->units());
  if (next_text == 0) method->Begin(selected_parameter());
  method->ForwardUnit(next_text++);
  return absl::OkStatus();
}

void Trainer::State::Validate() {
  // The text features are those of the parameter that the epoch ended with.
  const at::Tensor answers =
      validation_images.mm(UnitRows(method->text_features()).t()).argmax(1);
  const at::Tensor correct = answers.eq(validation_labels).sum().to(at::kCPU);
  const int64_t count = *correct.const_data_ptr<int64_t>();
  best.validated = epochs->progress().epoch;
  if (best.epoch > 0 && count <= best.correct) return;
  best.epoch = epochs->progress().epoch;
  best.correct = count;
  best_parameter = parameter.clone();
}

void Trainer::State::ComputeLoss() {
  const at::Tensor rows = ToIndexTensor(epochs->Batch(), labels);
  loss =
      CosineCrossEntropy(images.index_select(0, rows), method->text_features(),
                         labels.index_select(0, rows), encoder->logit_scale());
}

absl::Status Trainer::State::ApplyGradient() {
  // torch.optim.SGD, dampening 0, no Nesterov. The first step's momentum is
  // the gradient itself, which zero momentum gives too.
  const at::Tensor gradient =
      method->gradient().add(parameter, spec.weight_decay);
  const at::Tensor next_momentum = momentum.mul(spec.momentum).add_(gradient);
  const at::Tensor next_parameter =
      parameter.add(next_momentum, -epochs->progress().learning_rate);
  // The step's one wait for the device, so that steps do not pile up before
  // the serving units behind them.
  const at::Tensor numbers =
      at::stack({loss.loss.to(at::kDouble), loss.correct.to(at::kDouble),
                 next_parameter.isfinite().all().to(at::kDouble)})
          .to(at::kCPU);
  const double* number = numbers.const_data_ptr<double>();
  if (!std::isfinite(number[0])) return epochs->NotFinite("loss");
  if (number[2] == 0) return epochs->NotFinite("parameter");

  // Not before: a step that fails leaves the last good state, to be saved.
  momentum = next_momentum;
  parameter = next_parameter;
  epochs->FinishStep(number[0], static_cast<int64_t>(number[1]));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Trainer::SaveCheckpoint() const {
  return clip::Guarded("save a checkpoint", [this] {
    const State& state = *state_;
    CheckpointContent content;
    content.identity = state.identity;
    content.parameter = clip::ToFloatTensor(state.parameter);
    content.momentum = clip::ToFloatTensor(state.momentum);
    content.best = state.best;
    if (state.best.epoch > 0) {
      content.best_parameter = clip::ToFloatTensor(state.best_parameter);
    }
    state.epochs->Save(&content);
    return WriteCheckpoint(content);
  });
}

absl::Status Trainer::Restore(const std::string& checkpoint) {
  State& state = *state_;
  ASSIGN_OR_RETURN(const CheckpointContent content, ReadCheckpoint(checkpoint));
  if (content.identity != state.identity || !state.epochs->Fits(content) ||
      content.parameter.shape != state.parameter.sizes().vec()) {
    return CheckpointOfAnotherJob();
  }
  return clip::Guarded("restore a checkpoint", [&] {
    state.parameter = ToTensor(content.parameter, state.parameter);
    state.momentum = ToTensor(content.momentum, state.momentum);
    state.best = content.best;
    if (state.best.epoch > 0) {
      state.best_parameter = ToTensor(content.best_parameter, state.parameter);
    }
    state.epochs->Restore(content);
    state.next_forward = 0;
    state.next_backward = -1;
    return absl::OkStatus();
  });
}

absl::StatusOr<FloatTensor> Trainer::Context() const {
  return clip::Guarded("read the parameter", [this] {
    return clip::ToFloatTensor(state_->selected_parameter());
  });
}

int64_t Trainer::head_units() const {
  const Method& method = *state_->method;
  return method.setup_units() - state_->next_setup + state_->head_setup +
         method.units();
}

absl::Status Trainer::RunHeadUnit() {
  return clip::Guarded("text features",
                       [this] { return state_->RunHeadUnit(); });
}

absl::StatusOr<FloatTensor> Trainer::TextFeatures() {
  return clip::Guarded(
      "text features", [this]() -> absl::StatusOr<FloatTensor> {
        State& state = *state_;
        while (state.next_text < state.method->units()) {
          RETURN_IF_ERROR(state.RunHeadUnit());
        }
        state.next_text = 0;
        state.head_setup = 0;
        return clip::ToFloatTensor(UnitRows(state.method->text_features()));
      });
}

absl::StatusOr<Learned> Trainer::Result() {
  Learned learned;
  ASSIGN_OR_RETURN(learned.head.weights, TextFeatures());
  ASSIGN_OR_RETURN(FloatTensor parameter, Context());
  learned.parameters.emplace(state_->method->parameter_name(),
                             std::move(parameter));
  if (const auto best = selected()) {
    learned.chosen = Chosen{.epoch = best->epoch,
                            .validation_accuracy = best->validation_accuracy};
  }
  return learned;
}

}  // namespace promptd::learners

#include "learners/trainer.h"

#include <algorithm>
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
#include "learners/labelled_check.h"
#include "learners/method.h"
#include "learners/schedule.h"
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
  int64_t batch_size = 0;
  int64_t steps_per_epoch = 0;

  at::Tensor parameter;
  at::Tensor momentum;
  at::Tensor best_parameter;  // once best.epoch > 0
  BestEpoch best;
  EpochState epoch_state;
  std::vector<int64_t> order;  // of the running epoch
  LearnerProgress progress;

  int64_t next_setup = 0;

  // A step under way: forward units, then backward units.
  int64_t next_forward = 0;
  int64_t next_backward = -1;
  CosineLoss loss;
  // Of the head: set-up units that no step needed, units of the text features.
  int64_t head_setup = 0;
  int64_t next_text = 0;

  bool trained() const { return progress.step == progress.steps; }
  // Whether the parameter that an epoch ended with has not been scored yet.
  bool ValidationDue() const {
    return spec.selection == Selection::kBestValidation &&
           best.validated < progress.epoch;
  }
  const at::Tensor& selected_parameter() const {
    return best.epoch > 0 ? best_parameter : parameter;
  }

  void TakeImages(const TrainingData& data);
  absl::Status RunUnit();
  absl::Status RunSetupUnit();
  absl::Status RunHeadUnit();
  void BeginEpoch();
  void Validate();
  void ComputeLoss();
  absl::Status ApplyGradient();
  absl::Status NotFinite(absl::string_view what) const;
  void FinishEpoch();
};

namespace {

absl::Status CheckSpec(const TrainerSpec& spec) {
  std::vector<FieldViolation> bad;
  if (spec.epochs < 0) bad.push_back({"epochs", "is negative"});
  if (spec.batch_size < 1) bad.push_back({"batch_size", "must be at least 1"});
  for (const auto& [name, value] :
       {std::pair{"learning_rate", spec.learning_rate},
        std::pair{"momentum", spec.momentum},
        std::pair{"weight_decay", spec.weight_decay},
        std::pair{"warmup_learning_rate", spec.warmup_learning_rate}}) {
    if (!std::isfinite(value) || value < 0) {
      bad.push_back({name, "must be zero or a positive number"});
    }
  }
  if (spec.warmup_epochs < 0) bad.push_back({"warmup_epochs", "is negative"});
  if (spec.views < 0) bad.push_back({"views", "is negative"});
  return bad.empty() ? absl::OkStatus()
                     : InvalidFields("BAD_TRAINER_SPEC", bad);
}

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
  RETURN_IF_ERROR(CheckSpec(spec));
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
        state->epoch_state.random = random.State();
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
  const int64_t rows = static_cast<int64_t>(data.labels.size());
  batch_size = std::min<int64_t>(spec.batch_size, rows);
  steps_per_epoch = rows / batch_size;
  progress.steps = steps_per_epoch * spec.epochs;
}

bool Trainer::done() const {
  return state_->trained() && !state_->ValidationDue();
}

const LearnerProgress& Trainer::progress() const { return state_->progress; }

std::optional<SelectedEpoch> Trainer::selected() const {
  const BestEpoch& best = state_->best;
  if (best.epoch == 0) return std::nullopt;
  return SelectedEpoch{
      best.epoch, static_cast<double>(best.correct) /
                      static_cast<double>(state_->validation_labels.size(0))};
}

std::optional<int> Trainer::NeedsView() const {
  const State& state = *state_;
  const int views = state.spec.views;
  if (views == 1 || state.trained()) return std::nullopt;
  const int epoch = state.progress.epoch;
  const int view = views == 0 ? epoch : epoch % views;
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
  const int64_t units = method->units();
  // One chunk: the whole step is bounded. Many: one chunk at a time.
  const int64_t budget = units == 1 ? 2 : 1;
  for (int64_t i = 0; i < budget; ++i) {
    if (next_backward >= 0) {
      method->BackwardUnit(next_backward--, loss.d_text);
      if (next_backward < 0) RETURN_IF_ERROR(ApplyGradient());
      continue;
    }
    if (next_forward == 0) {
      if (order.empty() && !trained()) BeginEpoch();
      method->Begin(parameter);
    }
    method->ForwardUnit(next_forward++);
    if (next_forward == units) {
      next_forward = 0;
      if (ValidationDue()) Validate();
      if (trained()) return absl::OkStatus();
      ComputeLoss();
      next_backward = units - 1;
    }
  }
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

void Trainer::State::BeginEpoch() {
  // The permutation follows from the state at the epoch's start, which is what
  // a checkpoint keeps. The state was checked when it came in.
  Random random = *Random::FromState(epoch_state.random);
  order = random.Permutation(labels.size(0));
  epoch_state.random_after = random.State();
  progress.learning_rate =
      LearningRate({spec.learning_rate, spec.epochs, spec.warmup_epochs,
                    spec.warmup_learning_rate},
                   progress.epoch);
}

void Trainer::State::Validate() {
  // The text features are those of the parameter that the epoch ended with.
  const at::Tensor answers =
      validation_images.mm(UnitRows(method->text_features()).t()).argmax(1);
  const at::Tensor correct = answers.eq(validation_labels).sum().to(at::kCPU);
  const int64_t count = *correct.const_data_ptr<int64_t>();
  best.validated = progress.epoch;
  if (best.epoch > 0 && count <= best.correct) return;
  best.epoch = progress.epoch;
  best.correct = count;
  best_parameter = parameter.clone();
}

void Trainer::State::ComputeLoss() {
  const int64_t in_epoch = progress.step % steps_per_epoch;
  const auto first = order.begin() + in_epoch * batch_size;
  const at::Tensor rows = ToIndexTensor({first, first + batch_size}, labels);
  loss =
      CosineCrossEntropy(images.index_select(0, rows), method->text_features(),
                         labels.index_select(0, rows), encoder->logit_scale());
}

absl::Status Trainer::State::NotFinite(absl::string_view what) const {
  return MakeError(absl::StatusCode::kOutOfRange, "NON_FINITE_LOSS",
                   absl::StrCat("the ", what, " is not finite at step ",
                                progress.step + 1, " of ", progress.steps,
                                ": train with a lower learning "
                                "rate than ",
                                spec.learning_rate));
}

absl::Status Trainer::State::ApplyGradient() {
  // torch.optim.SGD, dampening 0, no Nesterov. The first step's momentum is
  // the gradient itself, which zero momentum gives too.
  const at::Tensor gradient =
      method->gradient().add(parameter, spec.weight_decay);
  const at::Tensor next_momentum = momentum.mul(spec.momentum).add_(gradient);
  const at::Tensor next_parameter =
      parameter.add(next_momentum, -progress.learning_rate);
  // The step's one wait for the device, so that steps do not pile up before
  // the serving units behind them.
  const at::Tensor numbers =
      at::stack({loss.loss.to(at::kDouble), loss.correct.to(at::kDouble),
                 next_parameter.isfinite().all().to(at::kDouble)})
          .to(at::kCPU);
  const double* number = numbers.const_data_ptr<double>();
  if (!std::isfinite(number[0])) return NotFinite("loss");
  if (number[2] == 0) return NotFinite("parameter");

  // Not before: a step that fails leaves the last good state, to be saved.
  momentum = next_momentum;
  parameter = next_parameter;
  epoch_state.loss_sum += number[0];
  epoch_state.correct += static_cast<int64_t>(number[1]);
  ++progress.step;
  const int64_t in_epoch = (progress.step - 1) % steps_per_epoch + 1;
  if (progress.epoch == 0 || in_epoch == steps_per_epoch) {
    progress.loss = epoch_state.loss_sum / static_cast<double>(in_epoch);
    progress.accuracy = static_cast<double>(epoch_state.correct) /
                        static_cast<double>(in_epoch * batch_size);
  }
  if (in_epoch == steps_per_epoch) FinishEpoch();
  return absl::OkStatus();
}

void Trainer::State::FinishEpoch() {
  ++progress.epoch;
  order.clear();
  epoch_state.random = epoch_state.random_after;
  epoch_state.loss_sum = 0;
  epoch_state.correct = 0;
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
    content.epoch = state.epoch_state;
    content.progress = state.progress;
    return WriteCheckpoint(content);
  });
}

absl::Status Trainer::Restore(const std::string& checkpoint) {
  State& state = *state_;
  ASSIGN_OR_RETURN(const CheckpointContent content, ReadCheckpoint(checkpoint));
  if (content.identity != state.identity ||
      content.progress.steps != state.progress.steps ||
      state.steps_per_epoch == 0 ||  // nothing to go on with
      content.progress.epoch != content.progress.step / state.steps_per_epoch ||
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
    state.epoch_state = content.epoch;
    state.progress = content.progress;
    state.order.clear();
    state.next_forward = 0;
    state.next_backward = -1;
    // In the middle of an epoch its permutation and rate are needed again.
    const bool inside = state.progress.step % state.steps_per_epoch != 0;
    if (inside) state.BeginEpoch();
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

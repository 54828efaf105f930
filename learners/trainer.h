// Learns a prompt from image features, one bounded unit at a time.
//
//   ASSIGN_OR_RETURN(auto trainer, Trainer::Create(encoder, spec, data));
//   while (!trainer->done()) {
//     if (const auto view = trainer->NeedsView()) {
//       RETURN_IF_ERROR(trainer->SetFeatures(*view, FeaturesOf(*view)));
//     }
//     RETURN_IF_ERROR(trainer->RunUnit());
//   }
//   ASSIGN_OR_RETURN(const FloatTensor context, trainer->Context());
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "common/training_options.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::learners {

struct TrainerSpec {
  std::string method = "coop";
  int context_tokens = 16;   // M
  std::string context_init;  // words; empty: random
  ClassPosition class_position = ClassPosition::kEnd;
  bool class_specific = false;
  int epochs = 200;  // 0: done at once, nothing is learned
  int batch_size = 32;
  double learning_rate = 0.002;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  int warmup_epochs = 1;
  double warmup_learning_rate = 1e-5;
  int64_t seed = 1;
  // 1: the same features in every epoch. K > 1: epoch e (from 0) takes view
  // e % K. 0: epoch e takes view e.
  int views = 1;
  Selection selection = Selection::kLastStep;
};

struct TrainingData {
  std::vector<std::string> class_names;  // [C]
  // [N, E], of any length; empty unless views = 1, see Trainer::NeedsView.
  // With 0 epochs nothing but names and initial context is looked at.
  FloatTensor features;
  std::vector<int> labels;  // [N], 0 .. C-1
  // Names the features, those of all views, in checkpoints.
  std::string features_digest;
  // What the selection looks at, [V, E] and [V]; only for kBestValidation.
  FloatTensor validation_features;
  std::vector<int> validation_labels;
  std::string validation_digest;
  // The parameter to start from instead of the method's own; its shape is
  // empty for none.
  FloatTensor initial_context;
  std::string initial_context_digest;
};

struct TrainerProgress {
  int epoch = 0;     // finished epochs
  int64_t step = 0;  // finished optimizer steps
  int64_t steps = 0;
  // Means over the last finished epoch; over the running one before that.
  double loss = 0;
  double accuracy = 0;       // 0..1
  double learning_rate = 0;  // of the last step
};

// The epoch that a selection by validation would take.
struct SelectedEpoch {
  int epoch = 0;                   // 1 is the first
  double validation_accuracy = 0;  // 0..1, of the parameter after it
};

// The paper's recipe: SGD with momentum and weight decay as torch.optim.SGD
// does it, one learning rate an epoch (schedule.h), a fresh uniform
// permutation each epoch, incomplete batches dropped unless there is only one
// (drop_last when N >= batch_size), the mean cross-entropy of scaled cosines.
// With kBestValidation the parameter after each epoch is scored on the
// validation features, and the best one is kept, the first of equals (Dassl's
// TEST.FINAL_MODEL = best_val). The next epoch's first step encodes the classes
// with just that parameter, so only the last epoch costs a pass of its own.
// Same spec, data and machine: same bytes, whatever the interruptions.
// All calls on the device thread.
class Trainer {
 public:
  // INVALID_ARGUMENT: UNKNOWN_METHOD, BAD_TRAINING_DATA, BAD_TRAINER_SPEC,
  // BAD_INITIAL_CONTEXT, the method's own; the codes of clip/torch_status.h.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(
      std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
      TrainingData data);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  bool done() const;
  const TrainerProgress& progress() const;

  // The view whose features the next unit needs; nothing when it has them.
  std::optional<int> NeedsView() const;
  // The features [N, E] of the view that NeedsView named, in the order of the
  // labels. INVALID_ARGUMENT (BAD_TRAINING_DATA).
  absl::Status SetFeatures(int view, const FloatTensor& features);

  // A whole optimizer step, or one chunk of classes of it when there are many.
  // Call it when no view is needed. OUT_OF_RANGE (NON_FINITE_LOSS) names the
  // step; the trainer stays as it was before that step and can be saved.
  absl::Status RunUnit();

  // The state after the last finished step. A step that is under way is left
  // out and runs again after Restore.
  absl::StatusOr<std::string> SaveCheckpoint() const;
  // DATA_LOSS (BAD_CHECKPOINT) when it cannot be read; FAILED_PRECONDITION
  // (CHECKPOINT_MISMATCH) when it belongs to another spec, encoder, class list
  // or other features. The trainer is unchanged then.
  absl::Status Restore(const std::string& checkpoint);

  // The learned parameter, [M, W] for CoOp: the current one, or that of the
  // best epoch as soon as one has been validated.
  absl::StatusOr<FloatTensor> Context() const;
  // [C, E], rows of unit length, of Context(). Between steps. The units behind
  // it may be run one by one before, text_units() in all; what is left of them
  // runs here.
  int64_t text_units() const;
  absl::Status RunTextUnit();
  absl::StatusOr<FloatTensor> TextFeatures();
  // The best epoch so far; nothing before the first and with kLastStep.
  std::optional<SelectedEpoch> selected() const;

 private:
  struct State;
  explicit Trainer(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace promptd::learners

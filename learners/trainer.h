// Learns a prompt from image features, one bounded unit at a time.
//
//   ASSIGN_OR_RETURN(auto trainer, Trainer::Create(encoder, spec, data));
//   while (!trainer->done()) RETURN_IF_ERROR(trainer->RunUnit());
//   ASSIGN_OR_RETURN(const FloatTensor context, trainer->Context());
#pragma once

#include <cstdint>
#include <memory>
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
  int epochs = 200;
  int batch_size = 32;
  double learning_rate = 0.002;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  int warmup_epochs = 1;
  double warmup_learning_rate = 1e-5;
  int64_t seed = 1;
};

struct TrainingData {
  std::vector<std::string> class_names;  // [C]
  FloatTensor features;                  // [N, E], of any length
  std::vector<int> labels;               // [N], 0 .. C-1
  std::string features_digest;           // names the features in checkpoints
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

// The paper's recipe: SGD with momentum and weight decay as torch.optim.SGD
// does it, one learning rate an epoch (schedule.h), a fresh uniform
// permutation each epoch, incomplete batches dropped unless there is only one
// (drop_last when N >= batch_size), the mean cross-entropy of scaled cosines.
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

  // A whole optimizer step, or one chunk of classes of it when there are many.
  // OUT_OF_RANGE (NON_FINITE_LOSS) names the step; nothing more can be run.
  absl::Status RunUnit();

  // The state after the last finished step. A step that is under way is left
  // out and runs again after Restore.
  absl::StatusOr<std::string> SaveCheckpoint() const;
  // DATA_LOSS (BAD_CHECKPOINT) when it cannot be read; FAILED_PRECONDITION
  // (CHECKPOINT_MISMATCH) when it belongs to another spec, encoder, class list
  // or other features. The trainer is unchanged then.
  absl::Status Restore(const std::string& checkpoint);

  // The learned parameter, [M, W] for CoOp.
  absl::StatusOr<FloatTensor> Context() const;
  // [C, E], rows of unit length, for the current parameter. Between steps.
  absl::StatusOr<FloatTensor> TextFeatures();

 private:
  struct State;
  explicit Trainer(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace promptd::learners

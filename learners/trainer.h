// Learns a prompt from image features, one bounded unit at a time.
//
//   ASSIGN_OR_RETURN(auto trainer, Trainer::Create(encoder, spec, data));
//   while (!trainer->done()) {
//     if (const auto view = trainer->NeedsView()) {
//       RETURN_IF_ERROR(trainer->SetFeatures(*view, FeaturesOf(*view)));
//     }
//     RETURN_IF_ERROR(trainer->RunUnit());
//   }
//   ASSIGN_OR_RETURN(const Learned learned, trainer->Result());
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "learners/learner.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::learners {

// The epoch that a selection by validation would take.
struct SelectedEpoch {
  int epoch = 0;                   // 1 is the first
  double validation_accuracy = 0;  // 0..1, of the parameter after it
};

// The paper's recipe: SGD with momentum and weight decay as torch.optim.SGD
// does it, in the course of epochs.h, by the mean cross-entropy of scaled
// cosines.
// With kBestValidation the parameter after each epoch is scored on the
// validation features, and the best one is kept, the first of equals (Dassl's
// TEST.FINAL_MODEL = best_val). The next epoch's first step encodes the classes
// with just that parameter, so only the last epoch costs a pass of its own.
// Same spec, data and machine: same bytes, whatever the interruptions.
// All calls on the device thread.
class Trainer final : public Learner {
 public:
  // INVALID_ARGUMENT: UNKNOWN_METHOD, BAD_TRAINING_DATA, BAD_TRAINER_SPEC,
  // BAD_INITIAL_CONTEXT, the method's own; the codes of clip/torch_status.h.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(
      std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
      TrainingData data);
  ~Trainer() override;
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  bool done() const override;
  const LearnerProgress& progress() const override;
  std::optional<int> NeedsView() const override;
  absl::Status SetFeatures(int view, const FloatTensor& features) override;
  // Half an optimizer step, the way forward or back; where there are many
  // classes, one chunk of them on that way.
  absl::Status RunUnit() override;
  absl::StatusOr<std::string> SaveCheckpoint() const override;
  absl::Status Restore(const std::string& checkpoint) override;
  int64_t head_units() const override;
  absl::Status RunHeadUnit() override;
  // The current parameter, or that of the best epoch as soon as one has been
  // validated, and the text features it gives as the head.
  absl::StatusOr<Learned> Result() override;

  // Parts of Result(), for who looks on.
  absl::StatusOr<FloatTensor> Context() const;
  absl::StatusOr<FloatTensor> TextFeatures();
  // The best epoch so far; nothing before the first and with kLastStep.
  std::optional<SelectedEpoch> selected() const;

 private:
  struct State;
  explicit Trainer(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace promptd::learners

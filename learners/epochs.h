// The course of a training by steps of SGD: which images a step takes, at which
// rate, and what the epochs have come to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "learners/checkpoint.h"
#include "learners/learner.h"

namespace promptd::learners {

// One learning rate an epoch (schedule.h), a fresh uniform permutation each
// epoch, incomplete batches dropped unless there is only one (drop_last when
// N >= batch_size). Thread-compatible. No torch.
class Epochs {
 public:
  // `rows` images; none: there are no steps. `random`, of Random::State(),
  // draws the permutations.
  Epochs(const TrainerSpec& spec, int64_t rows, std::string random);

  // INVALID_ARGUMENT (BAD_TRAINER_SPEC) when a number of the specification
  // makes no sense.
  static absl::Status CheckSpec(const TrainerSpec& spec);

  bool done() const { return progress_.step == progress_.steps; }
  int64_t batch_size() const { return batch_size_; }
  const LearnerProgress& progress() const { return progress_; }
  // Of the running epoch; 0 when its features are the same in all.
  int view() const;

  // Draws the running epoch's permutation and rate, once. Call it before a
  // step's batch is asked for.
  void Begin();
  // The images of the next step.
  std::vector<int64_t> Batch() const;
  // Counts a step with its mean loss and right answers.
  void FinishStep(double loss, int64_t correct);
  // OUT_OF_RANGE (NON_FINITE_LOSS) about the next step; `what` is not finite.
  absl::Status NotFinite(absl::string_view what) const;

  // Into and out of a checkpoint; whether it can be of this training.
  void Save(CheckpointContent* content) const;
  bool Fits(const CheckpointContent& content) const;
  void Restore(const CheckpointContent& content);

 private:
  TrainerSpec spec_;
  int64_t rows_ = 0;
  int64_t batch_size_ = 0;
  int64_t steps_per_epoch_ = 0;
  EpochState epoch_;
  std::vector<int64_t> order_;  // of the running epoch, once it has begun
  LearnerProgress progress_;
};

}  // namespace promptd::learners

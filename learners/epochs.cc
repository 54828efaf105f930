#include "learners/epochs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/error.h"
#include "common/random.h"
#include "learners/schedule.h"

namespace promptd::learners {

Epochs::Epochs(const TrainerSpec& spec, int64_t rows, std::string random)
    : spec_(spec), rows_(rows) {
  epoch_.random = std::move(random);
  if (rows == 0) return;
  batch_size_ = std::min<int64_t>(spec.batch_size, rows);
  steps_per_epoch_ = rows / batch_size_;
  progress_.steps = steps_per_epoch_ * spec.epochs;
}

absl::Status Epochs::CheckSpec(const TrainerSpec& spec) {
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

int Epochs::view() const {
  return spec_.views == 0 ? progress_.epoch : progress_.epoch % spec_.views;
}

void Epochs::Begin() {
  if (!order_.empty() || done()) return;
  // The permutation follows from the state at the epoch's start, which is what
  // a checkpoint keeps. The state was checked when it came in.
  Random random = *Random::FromState(epoch_.random);
  order_ = random.Permutation(rows_);
  epoch_.random_after = random.State();
  progress_.learning_rate =
      LearningRate({spec_.learning_rate, spec_.epochs, spec_.warmup_epochs,
                    spec_.warmup_learning_rate},
                   progress_.epoch);
}

std::vector<int64_t> Epochs::Batch() const {
  PROMPTD_CHECK(!order_.empty());
  const int64_t in_epoch = progress_.step % steps_per_epoch_;
  const auto first = order_.begin() + in_epoch * batch_size_;
  return {first, first + batch_size_};
}

void Epochs::FinishStep(double loss, int64_t correct) {
  epoch_.loss_sum += loss;
  epoch_.correct += correct;
  ++progress_.step;
  const int64_t in_epoch = (progress_.step - 1) % steps_per_epoch_ + 1;
  const bool last = in_epoch == steps_per_epoch_;
  if (progress_.epoch == 0 || last) {
    progress_.loss = epoch_.loss_sum / static_cast<double>(in_epoch);
    progress_.accuracy = static_cast<double>(epoch_.correct) /
                         static_cast<double>(in_epoch * batch_size_);
  }
  if (!last) return;
  ++progress_.epoch;
  order_.clear();
  epoch_.random = epoch_.random_after;
  epoch_.loss_sum = 0;
  epoch_.correct = 0;
}

absl::Status Epochs::NotFinite(absl::string_view what) const {
  return MakeError(absl::StatusCode::kOutOfRange, "NON_FINITE_LOSS",
                   absl::StrCat("the ", what, " is not finite at step ",
                                progress_.step + 1, " of ", progress_.steps,
                                ": train with a lower learning "
                                "rate than ",
                                spec_.learning_rate));
}

void Epochs::Save(CheckpointContent* content) const {
  content->epoch = epoch_;
  content->progress = progress_;
}

bool Epochs::Fits(const CheckpointContent& content) const {
  const LearnerProgress& other = content.progress;
  return steps_per_epoch_ > 0 &&  // else there is nothing to go on with
         other.steps == progress_.steps &&
         other.epoch == other.step / steps_per_epoch_;
}

void Epochs::Restore(const CheckpointContent& content) {
  epoch_ = content.epoch;
  progress_ = content.progress;
  order_.clear();
  // In the middle of an epoch its permutation and rate are needed again.
  if (progress_.step % steps_per_epoch_ != 0) Begin();
}

}  // namespace promptd::learners
